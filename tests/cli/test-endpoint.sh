#!/bin/sh
# packaging/interop/run_endpoint.sh as the public interop runner calls it, against itself on loopback. Wants ROAM and
# ROAM_SOURCE.
. "$(dirname "$0")/helpers.sh"

run_endpoint=$ROAM_SOURCE/packaging/interop/run_endpoint.sh
WWW=$scratch/www DOWNLOADS=$scratch/downloads CERTS=$scratch/certs STATE=$scratch
export ROAM WWW DOWNLOADS CERTS STATE
mkdir "$WWW" "$DOWNLOADS" "$CERTS"
head -c 100000 /dev/urandom >"$WWW/one"
head -c 2000 /dev/urandom >"$WWW/two"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext \
    'subjectAltName=DNS:localhost' -keyout "$CERTS/priv.key" -out "$CERTS/cert.pem" 2>"$scratch/openssl.err"
cp "$CERTS/cert.pem" "$CERTS/ca.pem"

# endpoints TESTCASE [CLIENT'S]: a server and a client of it; sets status, and log to what the server said.
endpoints()
{
    log=$scratch/server-$1.err
    : >"$log"
    ROLE=server TESTCASE=$1 LISTEN=127.0.0.1:0 PREFERRED=127.0.0.2 SSLKEYLOGFILE=$scratch/server.keys \
        "$run_endpoint" >"$scratch/server.out" 2>"$log" &
    server=$!
    started="$started $server"
    wait_for "$log" '^listening on '
    port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$log")
    rm -f "$DOWNLOADS"/*
    status=0
    ROLE=client TESTCASE=${2:-$1} REQUESTS="https://localhost:$port/one https://localhost:$port/two" QLOGDIR=$scratch/qlog \
        SSLKEYLOGFILE=$scratch/client.keys "$run_endpoint" >"$scratch/client.out" 2>"$scratch/client.err" || status=$?
    kill -INT "$server"
}

for testcase in handshake transfer chacha20 retry resumption multiconnect ecn connectionmigration; do
    case $testcase in
    connectionmigration) endpoints connectionmigration transfer ;;
    *) endpoints $testcase ;;
    esac
    [ "$status" = 0 ] || fail "$testcase ended with $status"
    diff -r "$WWW" "$DOWNLOADS" || fail "$testcase: other files"
done
endpoints transfer keyupdate
[ "$status" = 0 ] || fail "keyupdate ended with $status"
[ -s "$scratch/server.keys" ] && [ -s "$scratch/client.keys" ] || fail 'no secrets were logged'
ls "$scratch"/qlog/* >/dev/null || fail 'no qlog was written'
echo 'endpoint: the cases of the interop runner, against itself'

for role in client server; do
    status=0
    ROLE=$role TESTCASE=no-such-case REQUESTS=https://localhost:1/one "$run_endpoint" 2>"$scratch/endpoint.err" || status=$?
    [ "$status" = 127 ] || fail "an unknown case ended with $status as $role"
done
# A file that is not there is a failure, not a case that is not supported.
rm "$WWW/two"
endpoints handshake
[ "$status" = 1 ] || fail "a missing file ended with $status"
echo 'endpoint: 127 for what there is not'
