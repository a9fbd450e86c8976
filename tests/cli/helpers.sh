# For the tests of `roam listen` and `roam connect`; sourced. Wants ROAM.
set -eu

scratch=$(mktemp -d)
started=
finish()
{
    verdict=$?
    for pid in $started; do
        kill "$pid" 2>/dev/null || true
    done
    if [ "$verdict" -ne 0 ]; then
        for log in "$scratch"/*.err; do
            [ -s "$log" ] && { echo "--- $log"; tail -n 30 "$log"; }
        done
    fi
    rm -rf "$scratch"
}
trap finish EXIT

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# wait_for FILE TEXT [N]: until a line of the file, or so many, has the text. That it takes long is no fault; that it
# takes forever is.
wait_for()
{
    tries=0
    until [ "$(grep -c -e "$2" "$1" 2>/dev/null)" -ge "${3:-1}" ] 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 1200 ] || fail "'$2' does not come in $(basename "$1")"
        sleep 0.05
    done
}

# start_server OUT ERR ARGUMENTS...: a roam listen in the background. Sets server (its pid), port, and pin where it has a
# certificate of its own.
start_server()
{
    out=$1
    err=$2
    shift 2
    : >"$err"
    "$ROAM" listen "$@" <"${server_input:-/dev/null}" >"$out" 2>"$err" &
    server=$!
    started="$started $server"
    wait_for "$err" '^listening on '
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$err" | head -n 1)
    pin=
    case " $* " in
    *' --cert '*) ;;
    *)
        wait_for "$err" '^on the other side: '
        pin=$(sed -n 's/^on the other side: .*--pin \(sha256:[0-9a-f]*\).*/\1/p' "$err")
        ;;
    esac
}

# run COMMAND...: sets status to its exit status.
run()
{
    status=0
    "$@" || status=$?
}

# ended PID WANTED WHAT: waits for it; it must end with that status.
ended()
{
    status=0
    wait "$1" || status=$?
    [ "$status" = "$2" ] || fail "$3 ended with $status, not $2"
}

same()
{
    [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ] || fail "$3: what came is not what was sent"
}
