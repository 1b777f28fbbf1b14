#!/usr/bin/env bash
# Many histories, in chunks, and a line about them in the ledger.
#
#   campaign.sh PROGRAM STATE LEDGER
#
# PROGRAM is tusk_histories, STATE a folder for what was done so far, LEDGER the table. By environment:
# HISTORIES, how many in all; FIRST, the first seed (by default the time, so that each campaign sees others).
# Interrupt it at any time: what was done is in the ledger, and the next call goes on behind it.
set -u
program=$1
state=$2
ledger=$3
mkdir -p "$state"
commit=$(git -C "$(dirname "$ledger")" describe --always --dirty 2>/dev/null || echo unknown)
chunk=200
failed=0
done=0
next=${FIRST:-$(date +%s)}
[ -f "$state/histories" ] && read -r done next <"$state/histories"
goal=${HISTORIES:-10000}
first=$next
runs=0
kills=0
violations=0

note() {
    if [ "$runs" -gt 0 ]; then
        echo "| $(date -u +%F) | $commit | histories | seeds $first to $((next - 1)):" \
            "$runs histories, $kills kills | $violations |" >>"$ledger"
    fi
    runs=0
}
trap note EXIT
trap 'exit 130' INT TERM

while [ "$done" -lt "$goal" ]; do
    count=$((goal - done < chunk ? goal - done : chunk))
    "$program" --seed "$next" --count "$count" >"$state/histories.log" 2>&1
    code=$?
    line=$(tail -n 1 "$state/histories.log")
    echo "$line"
    runs=$((runs + $(sed -nE 's/^histories: .* ([0-9]+) histories, .*/\1/p' <<<"$line")))
    kills=$((kills + $(sed -nE 's/^histories: .* ([0-9]+) kills, .*/\1/p' <<<"$line")))
    if [ "$code" -ne 0 ]; then
        failed=1
        violations=$((violations + 1))
        mv "$state/histories.log" "$state/histories-$next.log"
        echo "a violation: see $state/histories-$next.log"
    fi
    done=$((done + count))
    next=$((next + count))
    echo "$done $next" >"$state/histories"
done
rm -f "$state/histories" "$state/histories.log"
exit $failed
