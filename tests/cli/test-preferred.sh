#!/bin/sh
# A server with several sockets that asks its clients to another address, and what clients make of it; servers that want no
# moves; tokens in a file. Wants ROAM.
. "$(dirname "$0")/helpers.sh"

# say_twice FILE WHAT: a line, and another one when WHAT stands in the file.
say_twice()
{
    echo 'Hello, first address.'
    wait_for "$1" "$2"
    echo 'Hello, second address.'
}

received_both()
{
    [ "$(grep -c '^Hello, ' "$scratch/got")" -eq 2 ] || fail "$1: not all came"
}

# ---- To the preferred address, and not back
#= rfc9000#9.6.1-2 Once confirmed, the client picks one preferred address and validates it.
#= rfc9000#9.6.1-3 On success, use only the new server address, with the new CID.
start_server "$scratch/got" "$scratch/server.err" --recv-only --verbose --preferred 127.0.0.2 127.0.0.1:0
grep -qx "preferred address 127.0.0.2:$port" "$scratch/server.err" || fail 'the preferred address is not said'
say_twice "$scratch/client.err" 'the server prefers' |
    "$ROAM" connect --verbose --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err" || fail 'the client fails'
ended "$server" 0 'the server'
received_both 'preferred address'
grep -q "the server prefers 127.0.0.2:$port, and is spoken to there instead of 127.0.0.1:$port" "$scratch/client.err" ||
    fail 'the client does not say where it went'
grep -q "is spoken to from 127.0.0.2:$port now" "$scratch/server.err" || fail 'the server did not follow'
[ "$(grep -c path_new "$scratch/server.err")" -eq 1 ] || fail 'not one new path'
grep -q 'summary .* moves=1 handshakes=1' "$scratch/client.err" || fail 'not one move and one handshake'
echo 'preferred address: reached'

# ---- Two families, several places
if ip -6 addr show dev lo 2>/dev/null | grep -q '::1/128'; then
    start_server "$scratch/got" "$scratch/server.err" --recv-only --preferred '127.0.0.2,::1' '[::1]:0' 127.0.0.1:0
    fourth=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$scratch/server.err")
    [ -n "$fourth" ] || fail 'the second place is not said'
    say_twice "$scratch/client.err" 'the server prefers 127.0.0.2' |
        "$ROAM" connect --pin "$pin" "127.0.0.1:$fourth" 2>"$scratch/client.err" || fail 'the client fails at the second place'
    ended "$server" 0 'the server of two places'
    received_both 'two places'
    echo 'several places: served'
fi

# ---- A client that stays
start_server "$scratch/got" "$scratch/server.err" --recv-only --verbose --preferred 127.0.0.2 127.0.0.1:0
{ echo 'Hello, first address.'; sleep 0.5; echo 'Hello, second address.'; } |
    "$ROAM" connect --no-preferred --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err" || fail 'the client that stays fails'
ended "$server" 0 'the server that is not followed'
received_both 'a client that stays'
grep -q 'path_new\|spoken to' "$scratch/server.err" && fail 'a client that was told to stay went'
echo 'no-preferred: stayed'

# ---- What cannot be
run "$ROAM" listen --cid-length 0 --preferred 127.0.0.2 127.0.0.1:0 2>"$scratch/said.err" </dev/null
[ "$status" = 3 ] && grep -q 'no preferred address without connection IDs' "$scratch/said.err" || fail 'zero-length CIDs'
run "$ROAM" listen --preferred 127.0.0.2,127.0.0.3 127.0.0.1:0 2>"$scratch/said.err" </dev/null
[ "$status" = 3 ] && grep -q 'one address of each family' "$scratch/said.err" || fail 'two of one family'
run "$ROAM" listen --preferred 192.0.2.1 127.0.0.1:0 2>"$scratch/said.err" </dev/null
[ "$status" = 3 ] && grep -q 'cannot listen on 192.0.2.1' "$scratch/said.err" || fail 'an address of somebody else'
echo 'what cannot be: named'

# ---- A server that wants no moves
#= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address toward the handshake
#= rfc9000#9-3 If a peer violates that, validate the path and let it migrate.
start_server "$scratch/got" "$scratch/server.err" --recv-only --no-migration 127.0.0.1:0
{ echo 'Hello, first address.'; wait_for "$scratch/client.err" 'cannot migrate: .*disable'; echo 'Hello, second address.'; } |
    "$ROAM" connect --migrate-every 100ms --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err" || fail 'no-migration fails'
ended "$server" 0 'the server that wants no moves'
received_both 'no-migration'
grep -q ' moved from ' "$scratch/server.err" && fail 'the client moved in spite of it'
start_server "$scratch/got" "$scratch/server.err" --recv-only --no-migration 127.0.0.1:0
{ echo 'Hello, first address.'; wait_for "$scratch/server.err" ' moved from '; echo 'Hello, second address.'; } |
    "$ROAM" connect --rebind-every 100ms --pin "$pin" "127.0.0.1:$port" 2>"$scratch/client.err" || fail 'a rebinding is not survived'
ended "$server" 0 'the server whose client was rebound'
received_both 'no-migration and a NAT'
echo 'no-migration: asked for, and rebindings survived'

# ---- Tokens
#= rfc9000#8.1.3-9 Client uses an applicable unused token when it has one.
#= rfc9000#8.1.3-10 Client does not present a token to a server it was not issued for.
#= rfc9000#8.1.3-12 Client does not present one NEW_TOKEN token in several connection attempts.
start_server "$scratch/got" "$scratch/server.err" --recv-only --keep --retry 127.0.0.1:0
first_port=$port first_pin=$pin
start_server "$scratch/got2" "$scratch/server2.err" --recv-only --keep --retry 127.0.0.1:0
# visit NUMBER PORT PIN: leaves the token file as it is after that visit in tokens.NUMBER, and a log in log.NUMBER
visit()
{
    echo "visit $1" | "$ROAM" connect --token-file "$scratch/tokens" --qlog "$scratch/log.$1" --pin "$3" "127.0.0.1:$2" \
        2>"$scratch/client.err" || fail "visit $1 fails"
    cp "$scratch/tokens" "$scratch/tokens.$1"
}
retries()
{
    grep -l '"retry"' "$scratch/log.$1"/* | wc -l
}
visit 1 "$first_port" "$first_pin"
[ "$(retries 1)" = 1 ] || fail 'the first visit needed no Retry'
[ "$(wc -l <"$scratch/tokens.1")" = 1 ] || fail 'no token was kept'
[ "$(stat -c %a "$scratch/tokens")" = 600 ] || fail 'anybody may read the tokens'
visit 2 "$port" "$pin"
[ "$(retries 2)" = 1 ] || fail 'a token was shown to another server'
[ "$(grep -c "^127.0.0.1:$port " "$scratch/tokens.2")" = 1 ] || fail 'the second server has no line of its own'
grep -qxF "$(cat "$scratch/tokens.1")" "$scratch/tokens.2" || fail 'the token of the first server is gone'
visit 3 "$first_port" "$first_pin"
[ "$(retries 3)" = 0 ] || fail 'the token did not spare the Retry'
grep -qxF "$(cat "$scratch/tokens.1")" "$scratch/tokens.3" && fail 'a used token is still there'
cp "$scratch/tokens.1" "$scratch/tokens"
visit 4 "$first_port" "$first_pin"
[ "$(retries 4)" = 1 ] || fail 'a token was believed twice'
# The next process with the same key believes them, and another one does not.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=server -keyout "$scratch/server.key" \
    -out "$scratch/server.pem" 2>"$scratch/openssl.err"
restart()
{
    start_server "$scratch/got3" "$scratch/server3.err" --recv-only --keep --retry --cert "$scratch/server.pem" --key \
        "$scratch/server.key" --static-key "$scratch/$1" "127.0.0.1:$2"
}
third_pin=sha256:$(openssl x509 -in "$scratch/server.pem" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)
restart key 0
third_port=$port
visit 6 "$third_port" "$third_pin"
[ "$(stat -c '%a %s' "$scratch/key")" = '600 32' ] || fail 'the static key is not 32 octets for its owner'
for name in key other; do
    kill "$server" && wait "$server" || true
    restart "$name" "$third_port"
    visit "7$name" "$third_port" "$third_pin"
done
[ "$(retries 6)" = 1 ] && [ "$(retries 7key)" = 0 ] || fail 'a token did not outlive the restart'
[ "$(retries 7other)" = 1 ] || fail 'a token of another key was believed'
printf 'nonsense\n%s\n' "127.0.0.1:$first_port zz" >"$scratch/tokens"
visit 5 "$first_port" "$first_pin"
[ "$(retries 5)" = 1 ] && grep -qx nonsense "$scratch/tokens" || fail 'a line that is no token'
echo 'tokens: kept by server, used once'

# ---- Sessions
# resumed PORT PIN: connects with the session file and says whether a session was resumed
resumed()
{
    "$ROAM" connect --handshake-only --session-file "$scratch/sessions" --pin "$2" "127.0.0.1:$1" </dev/null \
        2>"$scratch/client.err" | sed -n 's/.* resumed=//p'
}
[ "$(resumed "$first_port" "$first_pin")" = no ] || fail 'a session was resumed before there was one'
cp "$scratch/sessions" "$scratch/sessions.1"
[ "$(stat -c '%a' "$scratch/sessions")" = 600 ] || fail 'anybody may read the sessions'
[ "$(grep -c "^session 127.0.0.1:$first_port [0-9a-f]*$" "$scratch/sessions")" = 1 ] || fail 'no session was kept'
[ "$(resumed "$third_port" "$third_pin")" = no ] || fail 'a session was resumed with another server'
[ "$(resumed "$first_port" "$first_pin")" = yes ] || fail 'a session was not resumed'
grep -qxF "$(cat "$scratch/sessions.1")" "$scratch/sessions" && fail 'a used session is still there'
cp "$scratch/sessions.1" "$scratch/sessions"
[ "$(resumed "$first_port" "$third_pin")" = '' ] || fail 'a session got around the pin'
grep -q 'pinned' "$scratch/client.err" || fail 'a wrong pin is not what ended it'
sed 's/.$//; s/.$/0/' "$scratch/sessions.1" >"$scratch/sessions"
[ "$(resumed "$first_port" "$first_pin")" = no ] || fail 'half a session was resumed'
# A server that was restarted with its key takes them, one with another key does not.
[ "$(resumed "$third_port" "$third_pin")" = no ] || fail 'a session of nobody was resumed'
for expected in no yes; do
    kill "$server" && wait "$server" || true
    restart key "$third_port"
    [ "$(resumed "$third_port" "$third_pin")" = "$expected" ] || fail "resumed after a restart: not $expected"
done
echo 'sessions: kept by server, used once, and only where the server is trusted'
