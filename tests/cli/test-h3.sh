#!/bin/sh
# HTTP/3 by the examples of docs/h3.md, which see what a user sees: with each other, and with ngtcp2's client and server.
# A file down and up, compared. Wants ROAM_BUILD.
. "$(dirname "$0")/helpers.sh"

client=$ROAM_BUILD/examples/example-h3_client
server=$ROAM_BUILD/examples/example-h3_server
size=10485760
[ -z "${ROAM_SANITIZED:-}" ] || size=1048576
head -c "$size" /dev/urandom >"$scratch/file"

"$server" "$scratch/file" >"$scratch/where" 2>"$scratch/server.err" &
started="$started $!"
wait_for "$scratch/where" '127.0.0.1'
read -r host port pin <"$scratch/where"

"$client" "$host" "$port" "$pin" /file >"$scratch/got" 2>"$scratch/client.err" || fail "GET"
cmp "$scratch/file" "$scratch/got" || fail "GET brought something else"
grep -qx 200 "$scratch/client.err" || fail "no status"
answer=$("$client" "$host" "$port" "$pin" /file "$scratch/file" 2>"$scratch/client.err") || fail "POST"
[ "$answer" = "$size octets" ] || fail "POST: $answer"
# HTTP/3 with whoever is not pinned does not begin.
wrong=$(printf '%064d' 0)
! "$client" "$host" "$port" "$wrong" /file >"$scratch/got" 2>"$scratch/client.err" || fail "another key was accepted"

# WebTransport: a file there and back, a session that the server ends, and one that a server of files does not have.
client_wt=$ROAM_BUILD/examples/example-webtransport_client
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$scratch/wt_key" -out "$scratch/wt_chain" 2>"$scratch/openssl.err"
"$ROAM_BUILD/examples/example-webtransport_server" "$scratch/wt_chain" "$scratch/wt_key" >"$scratch/echo" 2>&1 &
started="$started $!"
wait_for "$scratch/echo" '127.0.0.1'
read -r _ wt_port wt_pin <"$scratch/echo"
"$client_wt" "$host" "$wt_port" "$wt_pin" /echo "$scratch/file" >"$scratch/got" 2>"$scratch/client.err" ||
    fail "WebTransport: $(cat "$scratch/client.err")"
cmp "$scratch/file" "$scratch/got" || fail "WebTransport brought something else"
grep -qx 'closed 0 all is back' "$scratch/echo" || fail "the session did not end as it should: $(cat "$scratch/echo")"
! "$client_wt" "$host" "$wt_port" "$wt_pin" /closed "$scratch/file" >"$scratch/got" 2>"$scratch/client.err" ||
    fail "a session that was closed went on"
grep -qx 'closed by the server: 42 as you asked' "$scratch/client.err" || fail "$(cat "$scratch/client.err")"
! "$client_wt" "$host" "$port" "$pin" /echo "$scratch/file" >"$scratch/got" 2>"$scratch/client.err" ||
    fail "a session with who has none"
grep -q 'no session' "$scratch/client.err" || fail "$(cat "$scratch/client.err")"

if ! command -v gtlsclient >/dev/null || ! command -v gtlsserver >/dev/null; then
    echo "without ngtcp2's programs: only among ourselves"
    exit 0
fi

mkdir "$scratch/down" "$scratch/root"
timeout 60 gtlsclient -q --exit-on-all-streams-close --download="$scratch/down" "$host" "$port" \
    "https://localhost:$port/file" >"$scratch/gtlsclient.err" 2>&1 || fail "gtlsclient GET"
cmp "$scratch/file" "$scratch/down/file" || fail "gtlsclient got something else"
timeout 60 gtlsclient -q --exit-on-all-streams-close -m POST -d "$scratch/file" --download="$scratch/down" "$host" "$port" \
    "https://localhost:$port/posted" >"$scratch/gtlsclient.err" 2>&1 || fail "gtlsclient POST"
[ "$(cat "$scratch/down/posted")" = "$size octets" ] || fail "gtlsclient POST: $(cat "$scratch/down/posted")"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$scratch/key" -out "$scratch/chain" 2>"$scratch/openssl.err"
pin=$(openssl x509 -in "$scratch/chain" -noout -pubkey | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)
cp "$scratch/file" "$scratch/root/file"
# It takes no port of the system's choice: a random one, another where somebody has it.
for _ in 1 2 3 4 5; do
    port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
    gtlsserver -q -d "$scratch/root" 127.0.0.1 "$port" "$scratch/key" "$scratch/chain" >"$scratch/gtlsserver.err" 2>&1 &
    pid=$!
    started="$started $pid"
    sleep 0.5
    kill -0 "$pid" 2>/dev/null && break
done
"$client" 127.0.0.1 "$port" "$pin" /file >"$scratch/got" 2>"$scratch/client.err" || fail "GET from gtlsserver"
cmp "$scratch/file" "$scratch/got" || fail "GET from gtlsserver brought something else"
"$client" 127.0.0.1 "$port" "$pin" /file "$scratch/file" >"$scratch/got" 2>"$scratch/client.err" ||
    fail "POST to gtlsserver"
