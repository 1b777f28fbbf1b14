#!/bin/sh
# The units are accepted by systemd-analyze, and leave the daemon little to do harm with; account, directories and
# catalog are what systemd's own tools take.
#
#     systemd_test.sh TUSKD UNITS SOURCE
#
# UNITS: the folder of the units as they were built; SOURCE: the tree. Verifying wants the binary to exist, so a copy of
# each service names the one that was built.
set -eu

tuskd=$1
units=$2
source=$3

if ! command -v systemd-analyze > /dev/null; then
    echo "SKIP: no systemd-analyze here"
    exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    cat "$dir/said"
    echo "FAIL: $*"
    exit 1
}

# ---- the event table and the catalog speak of the same ids

sed -n 's/^ *X([A-Z_]*, "[a-z-]*", [A-Z]*, "\([0-9a-f]*\)").*/\1/p' "$source/server/log.h" | sort > "$dir/ids"
sed -n 's/^-- //p' "$source/systemd/tusk.catalog" | sort > "$dir/explained"
[ -s "$dir/ids" ] || { echo "FAIL: no event in server/log.h"; exit 1; }
diff "$dir/ids" "$dir/explained" > "$dir/said" || fail "server/log.h and systemd/tusk.catalog differ"
if grep -v -x '[0-9a-f]\{32\}' "$dir/ids" > "$dir/said" || uniq -d "$dir/ids" | grep . >> "$dir/said"; then
    fail "a message id is not 32 digits, or is there twice"
fi

# ---- units

for unit in tuskd.service tuskd@.service; do
    sed "s|^ExecStart=.*|ExecStart=$tuskd|" "$units/$unit" > "$dir/$unit"
done
cp "$units/tuskd.socket" "$units/tuskd@.socket" "$source/systemd/tuskd-metrics.socket" "$dir"
# What stands in the build is as it is installed: nothing is left to be filled in.
if grep -n '@[A-Z_]*@' "$dir"/tuskd* > "$dir/said"; then
    fail "a unit is not filled in"
fi

# A template is verified by one of its instances.
for unit in tuskd.service tuskd.socket tuskd-metrics.socket tuskd@second.service tuskd@second.socket; do
    systemd-analyze verify --man=no "$dir/$unit" > "$dir/said" 2>&1 || fail "systemd-analyze verify $unit"
    if grep -q 'tuskd' "$dir/said"; then
        fail "systemd-analyze verify has something to say about $unit"
    fi
done

# --threshold is ten times the exposure: at most 0.5.
for unit in tuskd.service tuskd@.service; do
    # A reload is a signal, sent by ExecReload or, from 253 on, by systemd itself.
    grep -q -e '^ExecReload=.*-HUP' -e '^Type=notify-reload' "$dir/$unit" ||
        { echo "FAIL: $unit cannot be reloaded"; exit 1; }
    # Restarts have a bound, and what a restart cannot mend is left to a person.
    grep -q '^StartLimitBurst=' "$dir/$unit" && grep -q '^RestartPreventExitStatus=64 65 75 78$' "$dir/$unit" ||
        { echo "FAIL: $unit is restarted for ever"; exit 1; }
    systemd-analyze security --offline=true --threshold=5 --no-pager "$dir/$unit" > "$dir/said" ||
        fail "exposure of $unit above 0.5"
    tail -n 1 "$dir/said"
done

# The two instances share no path.
for what in StateDirectory RuntimeDirectory ConfigurationDirectory ListenStream; do
    one=$(sed -n "s/^$what=//p" "$dir/tuskd.service" "$dir/tuskd.socket")
    other=$(sed -n "s/^$what=//p" "$dir/tuskd@.service" "$dir/tuskd@.socket")
    case $other in
    "$one" | "") echo "FAIL: $what of tuskd@ is \"$other\", of tuskd \"$one\""; exit 1 ;;
    *%i*) ;;
    *) echo "FAIL: $what of tuskd@ does not name the instance: $other"; exit 1 ;;
    esac
done

# ---- account, directories, catalog: taken by systemd's tools, in a root of their own

if [ "$(id -u)" -ne 0 ] || ! command -v systemd-sysusers systemd-tmpfiles journalctl > /dev/null; then
    echo "SKIP: account, directories and catalog: wants root, systemd-sysusers, systemd-tmpfiles and journalctl"
    exit 0
fi
mkdir -p "$dir/root/etc" "$dir/root/usr/lib/sysusers.d" "$dir/root/usr/lib/systemd/catalog"
cp "$source/systemd/tusk.sysusers" "$dir/root/usr/lib/sysusers.d/tusk.conf"
cp "$source/systemd/tusk.catalog" "$dir/root/usr/lib/systemd/catalog/"
systemd-sysusers --root="$dir/root" > "$dir/said" 2>&1 || fail "systemd-sysusers"
grep -q '^tusk:.*:/var/lib/tusk:' "$dir/root/etc/passwd" || fail "systemd-sysusers makes no user tusk"
mkdir -p "$dir/root/usr/lib/tmpfiles.d" "$dir/root/var/lib" "$dir/root/run"
cp "$source/systemd/tusk.tmpfiles" "$dir/root/usr/lib/tmpfiles.d/tusk.conf"
systemd-tmpfiles --root="$dir/root" --create tusk.conf > "$dir/said" 2>&1 || fail "systemd-tmpfiles"
user=$(sed -n 's/^tusk:[^:]*:\([0-9]*\):.*/\1/p' "$dir/root/etc/passwd")
[ "$(stat -c '%a %u' "$dir/root/var/lib/tusk")" = "700 $user" ] || fail "/var/lib/tusk is not the daemon's alone"
[ "$(stat -c '%a %u' "$dir/root/run/tusk")" = "755 $user" ] || fail "/run/tusk is not the daemon's"
journalctl --root="$dir/root" --update-catalog > "$dir/said" 2>&1 || fail "journalctl --update-catalog"
journalctl --root="$dir/root" --list-catalog > "$dir/said" 2>&1 || fail "journalctl --list-catalog"
for id in $(cat "$dir/ids"); do
    grep -q "^$id tusk: " "$dir/said" || fail "the catalog does not have $id"
done
