#!/bin/sh
# What goes wrong is named, and ends with the right status: 1 for the connection, 2 for the command line, 3 for our own
# files and pipes. And what is served is just what was meant to be. Wants ROAM; certificates are made by openssl.
. "$(dirname "$0")/helpers.sh"

# expect STATUS TEXT COMMAND...: it ends so, and says so on stderr.
expect()
{
    wanted=$1
    text=$2
    shift 2
    run "$@" </dev/null 2>"$scratch/said.err" >"$scratch/said.out"
    [ "$status" = "$wanted" ] || fail "status $status, not $wanted: $*"
    [ -z "$text" ] || grep -q -e "$text" "$scratch/said.err" || fail "did not say '$text': $* said: $(cat "$scratch/said.err")"
}

# ---- The command line
expect 2 'usage: roam' "$ROAM"
expect 2 "no command 'sing'" "$ROAM" sing
expect 2 'unknown option: --loud' "$ROAM" listen --loud 4433
expect 2 'a place to listen on' "$ROAM" listen
expect 2 'too many arguments' "$ROAM" listen 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
expect 2 "not a HOST:PORT: 'localhost'" "$ROAM" connect localhost
expect 2 "not a HOST:PORT: '::1:443'" "$ROAM" connect ::1:443
expect 2 'wants sha256: and 64' "$ROAM" connect --pin sha256:12 localhost:1
expect 2 'wants a duration' "$ROAM" connect --idle soon localhost:1
expect 2 'wants aes128, aes256 or chacha20' "$ROAM" connect --cipher rot13 localhost:1
expect 2 'wants a value' "$ROAM" connect localhost:1 --pin
expect 2 'takes no value' "$ROAM" connect --insecure=yes localhost:1
expect 2 'exclude each other' "$ROAM" connect --insecure --pin "sha256:$(printf '%064d' 0)" localhost:1
expect 2 '0 or 4 to 20' "$ROAM" listen --cid-length 3 4433
expect 2 'wants a plan like' "$ROAM" listen --cid-plan quic-lb:server=xyz 4433
expect 2 'a nonce has at least 4 octets' "$ROAM" listen --cid-plan quic-lb:server=0a0b,nonce=2 4433
expect 2 'exclude each other' "$ROAM" listen --cid-plan quic-lb:server=0a0b --cid-length 8 4433
expect 2 'which connection ID' "$ROAM" cid
expect 2 'not a connection ID' "$ROAM" cid 123
expect 1 'not a connection ID of this plan' "$ROAM" cid --plan quic-lb:config=2,server=0a0b 0102030405060708
"$ROAM" cid --plan quic-lb:server=ed793a,length,key=8f95f09245765f80256934e50c66207f 0720b1d07b359d3c |
    grep -qx 'server    ed793a' || fail 'a vector of the draft is not read'
"$ROAM" cid e7010203040506ff | grep -q 'unroutable' || fail 'an unroutable connection ID'
expect 2 'go together' "$ROAM" listen --cert /nowhere 4433
expect 2 'cannot use the certificate' "$ROAM" listen --cert /nowhere --key /nowhere 4433
expect 2 'not a URL' "$ROAM" connect --hq http://localhost/
"$ROAM" --version | grep -qx 'roam [0-9.]*' || fail '--version'
"$ROAM" --help | grep -q '^usage: roam' || fail '--help'
"$ROAM" help connect | grep -q -- '--rebind-every' || fail 'help connect'
echo 'command lines: named'

# ---- Buffers of the kernel
limit=$(cat /proc/sys/net/core/rmem_max /proc/sys/net/core/wmem_max | sort -n | tail -n 1)
as_everybody=
[ "$(id -u)" != 0 ] || as_everybody='setpriv --bounding-set=-all --inh-caps=-all'
for wanted in $((limit + 4096)) 32K; do
    : >"$scratch/buffers.err"
    $as_everybody "$ROAM" listen --socket-buffer "$wanted" 127.0.0.1:0 127.0.0.2:0 </dev/null 2>"$scratch/buffers.err" &
    server=$!
    started="$started $server"
    wait_for "$scratch/buffers.err" '^on the other side: '
    kill "$server"
    wait "$server" || true
    hints=$(grep -c "socket buffers are small: .*sysctl -w net.core.rmem_max=$wanted net.core.wmem_max=$wanted\$" \
        "$scratch/buffers.err" || true)
    [ "$wanted.$hints" = "$((limit + 4096)).1" ] || [ "$wanted.$hints" = 32K.0 ] ||
        fail "$hints hints with buffers of $wanted: $(cat "$scratch/buffers.err")"
done
expect 1 'socket buffers are small' $as_everybody "$ROAM" connect --insecure --handshake 100ms --verbose \
    --socket-buffer $((limit + 4096)) 127.0.0.1:9
! $as_everybody "$ROAM" connect --insecure --handshake 100ms --socket-buffer $((limit + 4096)) 127.0.0.1:9 \
    2>"$scratch/buffers.err" || fail 'nobody answers, and it connects'
! grep 'socket buffers' "$scratch/buffers.err" || fail 'a hint that nobody asked for'
echo 'small buffers: named'

# ---- Nobody there
expect 1 'handshake timeout' "$ROAM" connect --insecure --handshake 300ms 127.0.0.1:9
expect 1 'did not resolve\|resol' "$ROAM" connect --insecure no-such-host.invalid:4433
echo 'nobody there: named'

# ---- Connection IDs that name the server
printf '%032d\n' 7 >"$scratch/cid.key"
plan="quic-lb:config=3,server=beef,key=@$scratch/cid.key"
start_server "$scratch/got.cid" "$scratch/cid.err" --table --cid-plan "$plan" 127.0.0.1:0
(echo planned; sleep 1.5) | "$ROAM" connect --pin "$pin" "127.0.0.1:$port" 2>"$scratch/connect.err"
ended "$server" 0 'the server with a plan'
cid=$(grep -o '^ *[0-9a-f]\{16\} ' "$scratch/cid.err" | head -n 1 | tr -d ' ')
[ -n "$cid" ] || fail 'the table shows no connection ID'
"$ROAM" cid --plan "$plan" "$cid" | grep -qx 'server    beef' || fail "$cid does not name the server"
echo 'connection IDs: made to the plan'

# ---- Whom to trust
start_server "$scratch/got" "$scratch/server.err" 127.0.0.1:0
expect 1 'CRYPTO_ERROR.*not the pinned' "$ROAM" connect --pin "sha256:$(printf '%064d' 0)" "127.0.0.1:$port"
expect 1 'CRYPTO_ERROR' "$ROAM" connect "127.0.0.1:$port"
grep -q '^roam: connection with .* failed: .*CRYPTO_ERROR' "$scratch/server.err" || fail 'the server does not say who was refused'
kill -0 "$server" || fail 'a client that refused the server ended it'
expect 1 'no_application_protocol' "$ROAM" connect --pin "$pin" --alpn other "127.0.0.1:$port"
expect 0 '' "$ROAM" connect --pin "$pin" "127.0.0.1:$port"
ended "$server" 0 'the server'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout "$scratch/ca.key" \
    -out "$scratch/ca.pem" 2>"$scratch/openssl.err"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout "$scratch/server.key" \
    -out "$scratch/server.csr" 2>>"$scratch/openssl.err"
printf 'subjectAltName=DNS:roam.example,IP:127.0.0.1\n' >"$scratch/ext"
openssl x509 -req -in "$scratch/server.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -CAcreateserial -days 2 \
    -extfile "$scratch/ext" -out "$scratch/server.pem" 2>>"$scratch/openssl.err"
start_server "$scratch/got" "$scratch/server.err" --keep --cert "$scratch/server.pem" --key "$scratch/server.key" 127.0.0.1:0
expect 0 '' "$ROAM" connect --ca "$scratch/ca.pem" "127.0.0.1:$port"
expect 0 '' "$ROAM" connect --ca "$scratch/ca.pem" --name roam.example "127.0.0.1:$port"
expect 1 'CRYPTO_ERROR' "$ROAM" connect --ca "$scratch/ca.pem" --name other.example "127.0.0.1:$port"
expect 1 'CRYPTO_ERROR' "$ROAM" connect "127.0.0.1:$port"
echo 'again' | "$ROAM" connect --ca "$scratch/ca.pem" "127.0.0.1:$port" 2>"$scratch/client.err"
wait_for "$scratch/got" again
kill "$server"
ended "$server" 143 'the server after SIGTERM'
echo 'trust: as said'

# ---- Our own side
if [ -w /dev/full ]; then
    start_server /dev/full "$scratch/server.err" 127.0.0.1:0
    head -c 100000 /dev/zero >"$scratch/zeros"
    run "$ROAM" connect --pin "$pin" "127.0.0.1:$port" <"$scratch/zeros" 2>"$scratch/client.err"
    client_status=$status
    ended "$server" 3 'the server with a full disk'
    grep -q 'standard output: No space left' "$scratch/server.err" || fail 'a full disk is not named'
    [ "$client_status" = 1 ] || fail 'the client does not hear that the other side failed'
fi
server_input=/dev/zero
start_server "$scratch/got" "$scratch/server.err" 127.0.0.1:0
server_input=
{
    run "$ROAM" connect --recv-only --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err"
    echo "$status" >"$scratch/status"
} | head -c 1000 >"$scratch/head"
[ "$(cat "$scratch/status")" = 3 ] || fail "a broken pipe is $(cat "$scratch/status"), not 3"
[ "$(stat -c %s "$scratch/head")" = 1000 ] || fail 'the reader got too little'
grep -q 'standard output: Broken pipe' "$scratch/client.err" || fail 'a broken pipe is not named'
wait "$server" || true
expect 3 'cannot listen on' "$ROAM" listen 192.0.2.1:4433
expect 3 'cannot serve' "$ROAM" listen --hq "$scratch/no-such-dir" 127.0.0.1:0
echo 'our own side: named'

# ---- The table
start_server "$scratch/got" "$scratch/server.err" --table 127.0.0.1:0
: >"$scratch/client.err"
{
    echo one
    wait_for "$scratch/client.err" 'rebound to'
    echo two
} | "$ROAM" connect -v --rebind-every 100ms --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err"
ended "$server" 0 'the server'
grep -q '^Connection ID *Client address *State$' "$scratch/server.err" || fail 'the table has no head'
rows=$(grep -c '^[0-9a-f]\{16\}  127\.0\.0\.1:[0-9]* * established$' "$scratch/server.err")
[ "$rows" -ge 2 ] || fail "the table shows $rows rows, where the client moved"
[ "$(sed -n 's/^\([0-9a-f]\{16\}\)  127.*established$/\1/p' "$scratch/server.err" | sort -u | wc -l)" = 1 ] ||
    fail 'the row changed its name'
echo 'table: the row moves'

# ---- HTTP/0.9
mkdir -p "$scratch/www/below" "$scratch/secret"
head -c 3000000 /dev/urandom >"$scratch/www/file"
: >"$scratch/www/empty"
echo below >"$scratch/www/below/file"
echo secret >"$scratch/secret/file"
ln -s ../secret "$scratch/www/way-out"
ln -s ../secret/file "$scratch/www/link"
mkfifo "$scratch/www/pipe"
start_server "$scratch/none" "$scratch/server.err" --hq "$scratch/www" --retry --cid-length 20 127.0.0.1:0
get()
{
    rm -f "$scratch/answer"
    run "$ROAM" connect --pin "$pin" --hq "https://127.0.0.1:$port/$1" -o "$scratch/answer" 2>"$scratch/client.err"
}
get file
[ "$status" = 0 ] || fail 'the file is not served'
same "$scratch/www/file" "$scratch/answer" 'HTTP/0.9'
get empty
[ "$status" = 0 ] || fail 'an empty file is not served'
[ ! -s "$scratch/answer" ] || fail 'the empty file is not empty'
get below/file
[ "$status" = 0 ] || fail 'a file in a directory is not served'
for path in missing below ../secret/file below/../../secret/file way-out/file link pipe /etc/passwd below//file ./file ''; do
    get "$path"
    [ "$status" = 1 ] || fail "'$path' is served"
    [ ! -s "$scratch/answer" ] || fail "'$path' has an answer"
done
kill -0 "$server" || fail 'the server ended'
"$ROAM" connect --pin "$pin" --alpn hq-interop --handshake-only "127.0.0.1:$port" >"$scratch/connected" 2>"$scratch/client.err"
grep -qx 'connected version=0x00000001 alpn=hq-interop cipher=[A-Z0-9-]* resumed=no' "$scratch/connected" || fail '--handshake-only'
"$ROAM" connect --pin "$pin" --alpn hq-interop --handshake-only --force-version 0x1a2a3a4a --cid-length 0 "127.0.0.1:$port" \
    >"$scratch/connected" 2>"$scratch/client.err" || fail '--force-version'
"$ROAM" connect --pin "$pin" --alpn hq-interop --handshake-only --quic-version v2 --quic-version v1 "127.0.0.1:$port" \
    >"$scratch/connected" 2>"$scratch/client.err" || fail '--quic-version'
grep -q '^connected version=0x6b3343cf ' "$scratch/connected" || fail '--quic-version v2 is not version 2'
expect 2 'each of them once' "$ROAM" connect --quic-version v2 --quic-version v2 "127.0.0.1:$port"
expect 2 'v1 or v2' "$ROAM" connect --quic-version 3 "127.0.0.1:$port"
expect 3 'cannot write to' "$ROAM" connect --pin "$pin" --hq "https://127.0.0.1:$port/file" -o "$scratch/no/such/dir"
if [ -w /dev/full ]; then
    expect 3 'No space left' "$ROAM" connect --pin "$pin" --hq "https://127.0.0.1:$port/file" -o /dev/full
fi
expect 2 'several --hq want a directory' "$ROAM" connect --hq https://a/b --hq https://a/c
expect 2 'wants --hq' "$ROAM" connect --download "$scratch" localhost:1
expect 2 'of another' "$ROAM" connect --download "$scratch" --hq https://a/b --hq https://a:1/c
expect 2 'would be one file' "$ROAM" connect --download "$scratch" --hq https://a/b --hq https://a/c/b
expect 2 'not a URL' "$ROAM" connect --download "$scratch" --hq https://a/..
expect 3 'cannot write to' "$ROAM" connect --pin "$pin" --download "$scratch/no/such" --hq "https://127.0.0.1:$port/file"

# Many at once, more than the server allows streams.
mkdir "$scratch/many" "$scratch/www/many"
set --
for n in $(seq 300); do
    echo "$n" >"$scratch/www/many/$n"
    set -- "$@" --hq "https://127.0.0.1:$port/many/$n"
done
run "$ROAM" connect --pin "$pin" --verbose --download "$scratch/many" "$@" --hq "https://127.0.0.1:$port/file" 2>"$scratch/client.err"
[ "$status" = 0 ] || fail 'many files were not fetched'
same "$scratch/www/file" "$scratch/many/file" 'a long file among many'
rm "$scratch/many/file"
diff -r "$scratch/www/many" "$scratch/many" || fail 'many files are not what they were'
grep -q ' handshakes=1 ' "$scratch/client.err" || fail 'many files took more than one connection'
expect 1 'missing was not sent' "$ROAM" connect --pin "$pin" --download "$scratch/many" "$@" --hq "https://127.0.0.1:$port/missing"
kill -INT "$server"
ended "$server" 130 'the server after SIGINT'
echo 'HTTP/0.9: files below the directory, and nothing else'
