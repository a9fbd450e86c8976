#!/bin/sh
# What `meson install` puts in place is enough to build the examples with pkg-config, against the shared library and
# against the static one, and what comes out runs. Wants ROAM_BUILD and ROAM_SOURCE.
set -eu

if [ -n "${ROAM_SANITIZED:-}" ]; then
    echo 'a library built with sanitizers is not one to install'
    exit 77
fi

stage=$(mktemp -d)
server=
finish()
{
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$stage"
}
trap finish EXIT

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

DESTDIR=$stage meson install -C "$ROAM_BUILD" --no-rebuild --quiet

pc=$(find "$stage" -name roam.pc)
[ -n "$pc" ] || fail 'roam.pc is not installed'
prefix=$stage$(sed -n 's/^prefix=//p' "$pc")
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

for file in "$prefix/bin/roam" "$libdir/libroam.so.0" "$libdir/libroam.so" "$libdir/libroam.a"; do
    [ -e "$file" ] || fail "$file is not installed"
done
for header in "$ROAM_SOURCE"/include/roam/*; do
    cmp -s "$header" "$prefix/include/roam/$(basename "$header")" || fail "$header is not installed"
done
[ "$(find "$prefix/include" -type f | wc -l)" -eq "$(find "$ROAM_SOURCE/include" -type f | wc -l)" ] ||
    fail 'a header that is not public is installed'
version=$(sed -n 's/^Version: *//p' "$pc")
for page in "$ROAM_SOURCE"/docs/man/*.[1-9]; do
    section=${page##*.}
    cmp -s "$page" "$prefix/share/man/man$section/$(basename "$page")" || fail "$page is not installed"
    grep -q "^\.TH .*\"roam $version\"" "$page" || fail "$page is not of version $version"
done
readelf -d "$libdir/libroam.so.0" | grep -q 'SONAME.*\[libroam\.so\.0\]' || fail 'the soname is not libroam.so.0'

# The library lies in a stage instead of where roam.pc says.
flags()
{
    pkg-config --define-variable=prefix="$prefix" "$@" roam
}

for name in version client server; do
    source=$ROAM_SOURCE/examples/$name.c
    ${CC:-cc} -Wall -Wextra -Werror -o "$stage/$name-shared" "$source" $(flags --cflags --libs)
    # The static archive by name: -lroam would find the shared one beside it.
    ${CC:-cc} -Wall -Wextra -Werror -o "$stage/$name-static" "$source" $(flags --cflags) \
        $(flags --static --libs | sed 's/-lroam\b/-l:libroam.a/')
done
LD_LIBRARY_PATH=$libdir
export LD_LIBRARY_PATH
readelf -d "$stage/version-shared" | grep -q 'NEEDED.*libroam\.so\.0' || fail 'the shared example does not need libroam.so.0'
readelf -d "$stage/version-static" | grep -q 'NEEDED.*libroam' && fail 'the static example needs libroam.so'

[ "$(flags --modversion)" = "$version" ] || fail "pkg-config says $(flags --modversion), roam.pc says $version"
for kind in shared static; do
    said=$("$stage/version-$kind")
    [ "$said" = "roam $version" ] || fail "version-$kind says '$said', roam.pc says $version"

    "$stage/server-$kind" >"$stage/line" &
    server=$!
    tries=0
    until [ -s "$stage/line" ]; do
        kill -0 "$server" 2>/dev/null || fail "server-$kind ended"
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || fail "server-$kind says nothing"
        sleep 0.05
    done
    read -r host port fingerprint <"$stage/line"
    answer=$("$stage/client-$kind" "$host" "$port" "$fingerprint" 'Hello again!') || fail "client-$kind ended with $?"
    [ "$answer" = 'Hello again!' ] || fail "client-$kind got '$answer'"
    # Another fingerprint is another server.
    "$stage/client-$kind" "$host" "$port" "$(printf '%064d' 0)" 'Hello' 2>/dev/null && fail "client-$kind trusts anyone"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
    : >"$stage/line"
    echo "$kind: $said, answer '$answer'"
done
