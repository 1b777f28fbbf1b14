#!/bin/sh
# The units are accepted by systemd-analyze, and leave the daemon little to do harm with.
#
#     systemd_test.sh TUSKD SERVICE SOCKET
#
# Verifying wants the binary to exist, so a copy of the unit names the one that was built.
set -eu

tuskd=$1
service=$2
socket=$3

if ! command -v systemd-analyze > /dev/null; then
    echo "SKIP: no systemd-analyze here"
    exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed "s|^ExecStart=.*|ExecStart=$tuskd|" "$service" > "$dir/tuskd.service"
cp "$socket" "$dir/tuskd.socket"

systemd-analyze verify --man=no "$dir/tuskd.service" "$dir/tuskd.socket" > "$dir/said" 2>&1 ||
    { cat "$dir/said"; echo "FAIL: systemd-analyze verify"; exit 1; }
if grep -q 'tuskd\.' "$dir/said"; then
    cat "$dir/said"
    echo "FAIL: systemd-analyze verify has something to say"
    exit 1
fi

# A reload is a signal, sent by ExecReload or, from 253 on, by systemd itself.
grep -q -e '^ExecReload=.*-HUP' -e '^Type=notify-reload' "$dir/tuskd.service" ||
    { echo "FAIL: the unit cannot be reloaded"; exit 1; }

# --threshold is ten times the exposure: at most 0.5.
systemd-analyze security --offline=true --threshold=5 --no-pager "$dir/tuskd.service" > "$dir/said" ||
    { cat "$dir/said"; echo "FAIL: exposure above 0.5"; exit 1; }
tail -n 1 "$dir/said"
