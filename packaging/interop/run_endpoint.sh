#!/bin/sh
# roam as an endpoint of the public QUIC interop runner (https://github.com/quic-interop/quic-interop-runner):
#
#   ROLE=server|client  TESTCASE=...  REQUESTS='URL URL...' (client)  SSLKEYLOGFILE, QLOGDIR (optional)
#
# Files come from /www and go to /downloads, certificates lie in /certs, the port is 443. Status 127: roam has no such
# case, which its own help decides. Elsewhere than in the runner's containers these say what is otherwise:
#
#   ROAM (roam)  WWW  DOWNLOADS  CERTS  STATE (a directory for sessions)  LISTEN (what the server listens on)
#   PREFERRED (the server's preferred address)  HTTP3 (not empty: the same cases over HTTP/3)
set -eu

ROAM=${ROAM:-roam}
WWW=${WWW:-/www}
DOWNLOADS=${DOWNLOADS:-/downloads}
CERTS=${CERTS:-/certs}
STATE=${STATE:-/tmp}
UNSUPPORTED=127
# Where a third of all packets is lost, a handshake takes longer than people wait.
PATIENCE=60s

unsupported()
{
    echo "unsupported: $*" >&2
    exit $UNSUPPORTED
}

# has COMMAND [OPTION]: whether roam has it.
has()
{
    "$ROAM" --help 2>&1 | grep -q "^ *\(roam \)\{0,1\}$1 " || return 1
    [ $# -eq 1 ] || "$ROAM" "$1" --help | grep -q -e "--$2\( \|\$\)"
}

wants()
{
    has "$@" || unsupported "$TESTCASE: there is no \`roam $1\`${2:+ --$2}"
}

# In the runner's network the routes lead through the simulator, which has to be up before a client begins.
if [ -x /setup.sh ]; then
    /setup.sh
fi
if [ "$ROLE" = client ] && [ -x /wait-for-it.sh ]; then
    /wait-for-it.sh sim:57832 -s -t 30
fi

# Whether the files go over HTTP/3.
is_http3()
{
    [ -n "${HTTP3:-}" ] || [ "$TESTCASE" = http3 ]
}

serve()
{
    set -- --cert "$CERTS/cert.pem" --key "$CERTS/priv.key" "$@"
    # shellcheck disable=SC2086 # several places are several words
    if is_http3; then
        exec "$ROAM" serve --no-tcp --handshake "$PATIENCE" "$@" "$WWW" ${LISTEN:-[::]:443}
    else
        exec "$ROAM" listen --handshake "$PATIENCE" --hq "$WWW" "$@" ${LISTEN:-[::]:443}
    fi
}

server()
{
    case $TESTCASE in
    handshake | transfer | multiplexing | resumption | multiconnect | ecn | versionnegotiation | keyupdate | rebind-port | \
        rebind-addr)
        serve
        ;;
    chacha20)
        serve --cipher chacha20
        ;;
    retry) serve --retry ;;
    connectionmigration)
        # The runner's server has addresses of both families, and its client comes by either.
        preferred=${PREFERRED:-$(hostname -I | tr ' ' '\n' | sed -e '/^$/d' -e '/:/s/.*/[&]/' -e 's/$/:4443/')}
        preferred=$(echo "$preferred" | paste -s -d , -)
        serve --preferred "$preferred"
        ;;
    zerortt)
        if is_http3; then wants serve early; else wants listen early; fi
        serve --early
        ;;
    v2)
        serve --quic-version v2 --quic-version v1
        ;;
    http3) serve ;;
    *) unsupported "$TESTCASE" ;;
    esac
}

# fetch [OPTION...]: all of $urls over one connection, in version 1 where nothing is said: the runner takes no other.
fetch()
{
    case "$*" in
    *--quic-version*) ;;
    *) set -- --quic-version v1 "$@" ;;
    esac
    if is_http3; then
        # shellcheck disable=SC2086
        (cd "$DOWNLOADS" && "$ROAM" get --ca "$CERTS/ca.pem" --connect-timeout "$PATIENCE" --parallel --remote-name "$@" \
            $urls)
        return
    fi
    for url in $urls; do
        set -- "$@" --hq "$url"
    done
    "$ROAM" connect --ca "$CERTS/ca.pem" --handshake "$PATIENCE" --download "$DOWNLOADS" "$@"
}

# The first file, and by what the server gave for it the others.
fetch_again()
{
    session=$(mktemp "$STATE/session.XXXXXX")
    # shellcheck disable=SC2086
    set -- $REQUESTS -- "$@"
    urls=$1
    shift
    rest=
    while [ "$1" != -- ]; do
        rest="$rest $1"
        shift
    done
    shift
    fetch --session-file "$session"
    urls=$rest
    fetch --session-file "$session" "$@"
    rm -f "$session"
}

# Each file over a connection of its own, some at once.
fetch_each()
{
    pids=
    failed=0
    running=0
    for urls in $REQUESTS; do
        fetch &
        pids="$pids $!"
        running=$((running + 1))
        if [ $running -eq 10 ]; then
            for pid in $pids; do
                wait "$pid" || failed=$?
            done
            pids=
            running=0
        fi
    done
    for pid in $pids; do
        wait "$pid" || failed=$?
    done
    return $failed
}

client()
{
    urls=$REQUESTS
    case $TESTCASE in
    handshake | transfer | multiplexing | retry | ecn | rebind-port | rebind-addr | connectionmigration) fetch ;;
    chacha20) fetch --cipher chacha20 ;;
    keyupdate) fetch --key-update-every 300ms ;;
    versionnegotiation)
        if is_http3; then
            fetch --force-version 1a2a3a4a
        else
            "$ROAM" connect --ca "$CERTS/ca.pem" --force-version 1a2a3a4a --handshake-only --hq "${REQUESTS%% *}"
        fi
        ;;
    multiconnect) fetch_each ;;
    resumption) fetch_again ;;
    zerortt)
        if is_http3; then wants get early; else wants connect early; fi
        fetch_again --early
        ;;
    v2)
        fetch --quic-version v1 --quic-version v2
        ;;
    http3) fetch ;;
    *) unsupported "$TESTCASE" ;;
    esac
}

case $ROLE in
server) server ;;
client) client ;;
*) unsupported "ROLE $ROLE" ;;
esac
