#!/bin/sh
# netcat over QUIC while the client's port changes under it: the same octets arrive, by one handshake. IPv4 and IPv6, each
# cipher, both directions, a slow reader, deliberate migration, and tar. Wants ROAM.
. "$(dirname "$0")/helpers.sh"

size=64
every=50ms
if [ -n "${ROAM_SANITIZED:-}" ]; then
    size=4
    every=20ms
fi
head -c "${size}M" /dev/urandom >"$scratch/sent"

# summary NAME: the value in the client's summary.
summary()
{
    sed -n "s/^summary .*\\b$1=\\([^ ]*\\).*/\\1/p" "$scratch/client.err"
}

moved()
{
    [ "$(summary moves)" -gt 0 ] || fail "$1: it never moved"
    grep -q ' moved from ' "$scratch/server.err" || fail "$1: the server saw no move"
}

# feed N: the file on standard output, the last half of it when the client has moved N times: however fast the machine,
# there is something to send after a move.
feed()
{
    half=$((size * 512 * 1024))
    head -c "$half" "$scratch/sent"
    [ "$1" -eq 0 ] || wait_for "$scratch/client.err" 'rebound to\|path_moved' "$1"
    tail -c "+$((half + 1))" "$scratch/sent"
}
mkfifo "$scratch/feed"

# transfer NAME ADDRESS MOVES OPTIONS...: the file to a server there, with as many moves half way, or more.
transfer()
{
    name=$1
    address=$2
    moves=$3
    shift 3
    start_server "$scratch/got" "$scratch/server.err" "$address:0"
    : >"$scratch/client.err"
    feed "$moves" >"$scratch/feed" &
    run "$ROAM" connect -v --pin "$pin" "$@" "$address:$port" <"$scratch/feed" 2>"$scratch/client.err"
    [ "$status" = 0 ] || fail "$name: the client ended with $status"
    ended "$server" 0 "$name: the server"
    same "$scratch/sent" "$scratch/got" "$name"
    [ "$(summary handshakes)" = 1 ] || fail "$name: $(summary handshakes) handshakes"
    [ "$moves" -eq 0 ] || moved "$name"
    echo "$name: ${size} MiB, $(summary moves) moves, $(summary cipher), $(summary retransmitted) octets sent again"
}

transfer ipv4 127.0.0.1 2 --rebind-every "$every"
transfer ipv6 '[::1]' 2 --rebind-every "$every"
transfer aes128 127.0.0.1 1 --rebind-every "$every" --cipher aes128
[ "$(summary cipher)" = AES-128-GCM ] || fail "aes128 gave $(summary cipher)"
transfer aes256 127.0.0.1 1 --rebind-every "$every" --cipher aes256
[ "$(summary cipher)" = AES-256-GCM ] || fail "aes256 gave $(summary cipher)"
transfer chacha20 127.0.0.1 1 --rebind-every "$every" --cipher chacha20
[ "$(summary cipher)" = CHACHA20-POLY1305 ] || fail "chacha20 gave $(summary cipher)"
# As many moves as take longer than the time between two updates.
transfer key_update 127.0.0.1 3 --rebind-every "$every" --key-update-every 15ms
[ "$(summary key_updates)" -gt 0 ] || fail 'no key was updated'
transfer migration 127.0.0.1 2 --migrate-every "$every"
transfer newreno 127.0.0.1 0 --congestion newreno
transfer one_move 127.0.0.1 1 --rebind-at 1M
[ "$(summary moves)" = 1 ] || fail "--rebind-at moved $(summary moves) times"

# Down only: a client that has nothing to say must still be found.
: >"$scratch/client.err"
feed 2 >"$scratch/feed" &
server_input=$scratch/feed
start_server "$scratch/got" "$scratch/server.err" 127.0.0.1:0
server_input=
run "$ROAM" connect -v --recv-only --rebind-every "$every" --pin "$pin" "127.0.0.1:$port" >"$scratch/got.client" 2>"$scratch/client.err"
[ "$status" = 0 ] || fail "down only: the client ended with $status"
ended "$server" 0 'down only: the server'
same "$scratch/sent" "$scratch/got.client" 'down only'
moved 'down only'
echo "down only: $(summary moves) moves"

# The other way, at the same time, out of a pipe, and to a reader that takes its time.
mkfifo "$scratch/slow"
(
    sleep 1
    cat >"$scratch/got.client"
) <"$scratch/slow" &
reader=$!
server_input=$scratch/sent
start_server "$scratch/got" "$scratch/server.err" 127.0.0.1:0
server_input=
cat "$scratch/sent" | {
    run "$ROAM" connect -v --rebind-every "$every" --pin "$pin" "localhost:$port" 2>"$scratch/client.err" >"$scratch/slow"
    echo "$status" >"$scratch/status"
}
[ "$(cat "$scratch/status")" = 0 ] || fail "both ways: the client ended with $(cat "$scratch/status")"
ended "$server" 0 'both ways: the server'
ended "$reader" 0 'the reader'
same "$scratch/sent" "$scratch/got" 'to the server'
same "$scratch/sent" "$scratch/got.client" 'to a slow reader'
echo 'both ways at once: the same'

# The example of the documentation.
mkdir -p "$scratch/dir/below" "$scratch/there"
head -c 300000 /dev/urandom >"$scratch/dir/below/file"
echo text >"$scratch/dir/text"
mkfifo "$scratch/tar"
tar x -C "$scratch/there" <"$scratch/tar" &
untar=$!
start_server "$scratch/tar" "$scratch/server.err" 127.0.0.1:0
tar c -C "$scratch" dir | "$ROAM" connect --pin "$pin" --rebind-every 5ms "127.0.0.1:$port" 2>"$scratch/client.err"
ended "$untar" 0 'tar x'
ended "$server" 0 'tar: the server'
diff -r "$scratch/dir" "$scratch/there/dir" || fail 'tar: the directories differ'
echo 'tar: the same directory'
