#!/usr/bin/env bash
# Prometheus' own tool about what a daemon tells: of names, units, HELP and TYPE; and about the rules for alerts.
#
#     promtool_test.sh TUSKD TUSK RULES
#
# Exit 77: there is no promtool ($PROMTOOL, or in PATH).
set -uo pipefail

tuskd=$1 tusk=$2 rules=$3
promtool=${PROMTOOL:-promtool}
command -v "$promtool" >/dev/null || {
    echo "SKIPPED: promtool is not there (./check takes it out of Debian's package prometheus, whose installation may start a server)"
    exit 77
}
dir=$(mktemp -d)
daemon=
finish() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
unset TUSK_NAMESPACE TUSK_DATA_DIR TUSK_LOG TUSK_METRICS_SOCKET
export TUSK_SOCKET=$dir/tusk.sock
mkfifo "$dir/ready"
"$tuskd" --data-dir "$dir/data" --socket "$TUSK_SOCKET" --set metrics_socket="$dir/metrics.sock" >"$dir/ready" &
daemon=$!
read -r _ <"$dir/ready" || { echo "FAIL: no ready line"; exit 1; }
"$tusk" append orders one two >/dev/null || exit 1
"$tusk" append 'a "quoted" \ topic' one >/dev/null || exit 1
"$tusk" read orders -c billing >/dev/null || exit 1
"$tusk" metrics --timeout 60 >"$dir/text" || exit 1
"$promtool" check metrics <"$dir/text" || { echo "FAIL: promtool check metrics: exit $?"; exit 1; }
for file in "$rules"/*.yml; do
    "$promtool" check rules "$file" || { echo "FAIL: promtool check rules $file: exit $?"; exit 1; }
done
