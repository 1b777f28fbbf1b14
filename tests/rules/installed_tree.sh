#!/usr/bin/env bash
# What is installed can be used: the daemon with the sample configuration, programs built against it by pkg-config (shared and static) and by CMake run, and the
# shared library exports nothing but tusk_ names.
set -euo pipefail
source=$1 build=$2 cc=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$build" --prefix "$dir/usr" >/dev/null
libdir=$(dirname "$(find "$dir/usr" -name libtusk.so | head -n 1)")

cat >"$dir/user.c" <<'C'
#include <tusk.h>

int main(void)
{
    /* Nobody listens there: the library says so, and the program goes on. */
    struct tusk_options options = {.size = sizeof options, .path = "/nonexistent/tusk.sock"};
    struct tusk *t;

    return tusk_connect(&options, &t, NULL) == TUSK_EUNREACHABLE ? 0 : 1;
}
C

export PKG_CONFIG_PATH=$libdir/pkgconfig
# shellcheck disable=SC2046
"$cc" -o "$dir/shared" "$dir/user.c" $(pkg-config --cflags --libs tusk)
LD_LIBRARY_PATH=$libdir "$dir/shared"
# shellcheck disable=SC2046
"$cc" -o "$dir/static" "$dir/user.c" $(pkg-config --cflags tusk) "$libdir/libtusk.a" \
    $(pkg-config --static --libs-only-l tusk | sed 's/-ltusk//')
"$dir/static"

mkdir "$dir/project"
cat >"$dir/project/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.20)
project(user C)
find_package(tusk REQUIRED)
add_executable(user ../user.c)
target_link_libraries(user PRIVATE tusk::tusk)
C
cmake -S "$dir/project" -B "$dir/project/build" -DCMAKE_PREFIX_PATH="$dir/usr" -DCMAKE_C_COMPILER="$cc" >/dev/null
cmake --build "$dir/project/build" >/dev/null
"$dir/project/build/user"

foreign=$(nm -D --defined-only "$libdir/libtusk.so" | awk '{print $3}' | grep -v -E '^(tusk_|TUSK_[0-9])' || true)
if [ -n "$foreign" ]; then
    echo "libtusk.so exports names that are not tusk_: $foreign" >&2
    exit 1
fi
# What packages promise of it: a function that is added gets a line in debian/libtusk0.symbols, with the version it came in.
nm -D --defined-only "$libdir/libtusk.so" | awk '{print $3}' | sed 's/@@/@/; s/^TUSK_\([0-9]*\)$/TUSK_\1@TUSK_\1/' | LC_ALL=C sort -u >"$dir/exported"
sed -n 's/^ \([^ ]*\) .*/\1/p' "$source/debian/libtusk0.symbols" | LC_ALL=C sort >"$dir/promised"
diff "$dir/promised" "$dir/exported" || { echo "debian/libtusk0.symbols and what libtusk.so exports differ" >&2; exit 1; }
objdump -p "$libdir/libtusk.so" | grep -q 'SONAME *libtusk.so.0' || { echo "wrong SONAME" >&2; exit 1; }
test -f "$dir/usr/lib/systemd/system/tuskd.service"
test -x "$dir/usr/bin/tuskd"
# tusk finds its helper from where it lies itself.
"$dir/usr/bin/tusk" verify --help | grep -q '^Usage: tusk verify'
mkdir "$dir/empty"
said=$("$dir/usr/bin/tusk" verify "$dir/empty" 2>&1) && { echo "an empty directory is no store" >&2; exit 1; }
[[ $said == *"no data directory"* ]] || { echo "tusk verify does not work when installed: $said" >&2; exit 1; }
# The prefix that was given when installing counts, not the one of the configuration.
grep -qx "ExecStart=$dir/usr/bin/tuskd" "$dir/usr/lib/systemd/system/tuskd.service" ||
    { echo "tuskd.service starts something else than the installed daemon" >&2; exit 1; }
grep -qx "ExecStart=$dir/usr/bin/tuskd" "$dir/usr/lib/systemd/system/tuskd@.service" ||
    { echo "tuskd@.service starts something else than the installed daemon" >&2; exit 1; }
for file in systemd/system/tuskd.socket systemd/system/tuskd@.socket systemd/system/tuskd-metrics.socket systemd/catalog/tusk.catalog sysusers.d/tusk.conf tmpfiles.d/tusk.conf; do
    test -s "$dir/usr/lib/$file" || { echo "no $file is installed" >&2; exit 1; }
done
# The sample that is installed is a valid configuration, also with everything in it in force.
sed -E 's/^#([^ ])/\1/' "$dir/usr/share/doc/tusk/tuskd.conf" >"$dir/tuskd.conf"
for file in "$dir/usr/share/doc/tusk/tuskd.conf" "$dir/tuskd.conf"; do
    "$dir/usr/bin/tuskd" --config "$file" --check-config >"$dir/said" 2>&1 ||
        { cat "$dir/said"; echo "the sample configuration is not valid" >&2; exit 1; }
done
if command -v scdoc >/dev/null; then
    for page in man1/tusk.1 man1/tusk-append.1 man3/libtusk.3 man5/tuskd.conf.5 man5/tusk-format.5 man7/tusk-protocol.7 man8/tuskd.8; do
        grep -q '^\.TH ' "$dir/usr/share/man/$page" || { echo "no manual page $page" >&2; exit 1; }
    done
    # One for each command, and a way to libtusk(3) from each function.
    for command in $("$dir/usr/bin/tusk" --help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p'); do
        test -s "$dir/usr/share/man/man1/tusk-$command.1" || { echo "no manual page tusk-$command(1)" >&2; exit 1; }
    done
    for function in $(nm -D --defined-only "$libdir/libtusk.so" | awk '$2 == "T" {print $3}' | sed 's/@.*//'); do
        grep -qx '.so man3/libtusk.3' "$dir/usr/share/man/man3/$function.3" ||
            { echo "no manual page $function(3)" >&2; exit 1; }
    done
fi
echo "pkg-config (shared, static), CMake, exports, units: as they should be in ${source##*/}"
