#!/usr/bin/env bash
# One long life of a daemon, and a line about it in the ledger.
#
#   campaign.sh PROGRAM STATE LEDGER
#
# PROGRAM is tusk_soak, STATE a folder for its output, LEDGER the table. By environment: OPS, how many operations
# (by default 10^8); SEED (by default the time, so that each campaign sees others); SMALL=1: with --small. Interrupt it at any time: it
# ends with a last look, and the ledger says how far it came. Nothing is resumed: it is about a single life.
set -u
program=$1
state=$2
ledger=$3
mkdir -p "$state"
commit=$(git -C "$(dirname "$ledger")" describe --always --dirty 2>/dev/null || echo unknown)
seed=${SEED:-$(date +%s)}
log=$state/soak-$seed.log

"$program" --seed "$seed" --ops "${OPS:-100000000}" ${SMALL:+--small} --verbose >"$log" 2>&1 &
child=$!
trap 'kill -TERM $child' INT TERM
wait $child
code=$?
while kill -0 $child 2>/dev/null; do # A signal ended the wait, not the program
    wait $child
    code=$?
done
line=$(tail -n 1 "$log")
echo "$line"
violations=0
if [ "$code" -ne 0 ]; then
    violations=1
    echo "a violation: see $log"
fi
done=$(sed -E 's/^soak: //; s/; [0-9]+ violations$//' <<<"$line")
echo "| $(date -u +%F) | $commit | soak | $done | $violations |" >>"$ledger"
exit $code
