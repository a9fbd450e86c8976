#!/bin/sh
# Early data (0-RTT): sent with the first flight of a resumed session where both sides say so, taken once. Wants ROAM.
. "$(dirname "$0")/helpers.sh"

mkdir "$scratch/www"
echo 'the answer' >"$scratch/www/file"

# fetch ARGUMENTS...: the file with the session that is kept; sets early to what became of early data.
fetch()
{
    "$ROAM" connect --verbose --session-file "$scratch/sessions" --pin "$pin" "$@" --hq "https://127.0.0.1:$port/file" \
        >"$scratch/got" 2>"$scratch/client.err" </dev/null || fail "cannot fetch $*"
    cmp -s "$scratch/got" "$scratch/www/file" || fail "another answer $*"
    early=$(sed -n 's/^summary .* early=//p' "$scratch/client.err")
    # The tickets may come after the answer: a handshake that waits for them brings one.
    "$ROAM" connect --handshake-only --session-file "$scratch/sessions" --pin "$pin" --alpn hq-interop "127.0.0.1:$port" \
        >"$scratch/handshake" 2>"$scratch/handshake.err" </dev/null || fail 'no handshake'
}

# ---- A server that takes it
start_server "$scratch/out" "$scratch/server.err" --early --verbose --hq "$scratch/www" 127.0.0.1:0
fetch --early
[ "$early" = no ] || fail "early data without a session: $early"
cp "$scratch/sessions" "$scratch/used"
fetch --early
[ "$early" = accepted ] || fail "early data was not taken: $early"
[ "$(grep -c early_data_accepted "$scratch/server.err")" = 1 ] || fail 'the server does not say that it took early data'
fetch
[ "$early" = no ] || fail "early data that nobody asked for: $early"
cp "$scratch/used" "$scratch/sessions"
fetch --early
[ "$early" = rejected ] || fail "a used session brought early data: $early"
echo 'early data: taken, once'

# ---- One that does not
kill "$server" && wait "$server" || true
start_server "$scratch/out" "$scratch/server.err" --hq "$scratch/www" 127.0.0.1:0
fetch --early
fetch --early
[ "$early" = no ] || fail "a server that takes none allowed it: $early"
echo 'early data: not sent where none is taken'

# ---- A pipe
kill "$server" && wait "$server" || true
start_server "$scratch/piped" "$scratch/server.err" --early --keep --recv-only --verbose 127.0.0.1:0
for line in first second; do
    { echo "$line"; sleep 1; } | "$ROAM" connect --early --verbose --session-file "$scratch/sessions" --pin "$pin" \
        "127.0.0.1:$port" 2>"$scratch/client.err" || fail "the $line pipe fails"
done
grep -q '^summary .* early=accepted$' "$scratch/client.err" || fail 'the second pipe was not early'
wait_for "$scratch/piped" second
[ "$(tr '\n' ' ' <"$scratch/piped")" = 'first second ' ] || fail 'the pipes carried something else'
echo 'early data: a pipe begins with it'
