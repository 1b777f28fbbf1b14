#!/usr/bin/env bash
# Many worlds, in chunks, and a line about them in the ledger.
#
#   campaign.sh PROGRAM STATE LEDGER
#
# PROGRAM is tusk_simulate, STATE a folder for what was done so far, LEDGER the table. By environment: SEEDS, how many worlds
# in all; FIRST, the first seed (1: those of every day); JOBS, how many at a time. Interrupt it at any time: what
# was done is in the ledger, with the rows of the recovery table it reached, and the next call goes on behind it.
set -u
program=$1
state=$2
ledger=$3
mkdir -p "$state"
commit=$(git -C "$(dirname "$ledger")" describe --always --dirty 2>/dev/null || echo unknown)
goal=${SEEDS:-10000000}
chunk=20000
failed=0
worlds=0
crashes=0
violations=0
rows=

next=${FIRST:-1}
[ -f "$state/next" ] && read -r next <"$state/next"
first=$next
last=$((${FIRST:-1} + goal - 1))

note() {
    if [ "$worlds" -gt 0 ]; then
        echo "| $(date -u +%F) | $commit | simulate | seeds $first to $((next - 1)): $worlds worlds, $crashes crashes;" \
            "recovery rows$rows | $violations |" >>"$ledger"
    fi
    worlds=0
}
trap note EXIT
trap 'exit 130' INT TERM

# add_rows TEXT: "R1 5 R2 7", added to what is in $rows.
add_rows() {
    rows=$(awk '{ for (i = 1; i < NF; i += 2) { if (!($i in sum)) order[n++] = $i; sum[$i] += $(i + 1) } }
        END { for (i = 0; i < n; i++) printf " %s %d", order[i], sum[order[i]] }' <<<"$rows $1")
}

while [ "$next" -le "$last" ]; do
    to=$((next + chunk - 1 < last ? next + chunk - 1 : last))
    "$program" --seeds "$next-$to" --jobs "${JOBS:-$(nproc)}" --failures 20 >"$state/log" 2>&1
    code=$?
    if [ "$code" -gt 1 ]; then
        tail -n 5 "$state/log"
        exit 1
    fi
    worlds=$((worlds + $(sed -nE 's/^worlds ([0-9]+),.*/\1/p' "$state/log")))
    crashes=$((crashes + $(sed -nE 's/^worlds .* crashes ([0-9]+),.*/\1/p' "$state/log")))
    violations=$((violations + $(sed -nE 's/^([0-9]+) failed$/\1/p' "$state/log")))
    add_rows "$(sed -nE 's/^recovery rows: //p' "$state/log")"
    if [ "$code" -ne 0 ]; then
        failed=1
        mv "$state/log" "$state/failed-$next.log"
        echo "a violation: see $state/failed-$next.log"
        grep '^replay' "$state/failed-$next.log"
    fi
    next=$((to + 1))
    echo "$next" >"$state/next"
    echo "seeds up to $to: $worlds worlds, $crashes crashes, $violations violations"
done
rm -f "$state/next" "$state/log"
exit $failed
