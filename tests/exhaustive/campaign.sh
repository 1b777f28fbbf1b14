#!/usr/bin/env bash
# All of every space, in parts, and a line about each program in the ledger.
#
#   campaign.sh PROGRAMS STATE LEDGER [PROGRAM...]
#
# PROGRAMS is the folder of the programs, STATE a folder for what was done so far, LEDGER the table. Interrupt it at any
# time: what was done is in the ledger, and the next call goes on behind it.
set -u
programs=$1
state=$2
ledger=$3
shift 3
[ $# -gt 0 ] || set -- limits memory faults damage sequences
mkdir -p "$state"
commit=$(git -C "$(dirname "$ledger")" describe --always --dirty 2>/dev/null || echo unknown)
failed=0

if [ ! -f "$ledger" ]; then
    cat >"$ledger" <<'END'
# What long campaigns have run

One line per campaign, or per part of one that was interrupted, appended by the campaign itself. Violations are counted in chunks of runs
that ended with one; what each was is in the commit that mended it.

| date | commit | campaign | seeds, and runs or executions | violations |
|---|---|---|---|---|
END
fi

# What the program under way has done in this call; note() writes it down once.
name=
first=1
part=1
parts=1
cases=0
unit=
violations=0

note() {
    if [ "$cases" -gt 0 ]; then
        local share="parts $first to $((part - 1)) of $parts"
        [ "$first" -eq 1 ] && [ "$part" -gt "$parts" ] && share="all of them"
        echo "| $(date -u +%F) | $commit | exhaust_$name | $cases $unit: $share | $violations |" >>"$ledger"
    fi
    cases=0
    violations=0
}
trap note EXIT
trap 'exit 130' INT TERM

# run NAME PARTS
run() {
    local file log line code
    name=$1
    parts=$2
    file="$state/$name"
    part=1
    [ -f "$file" ] && read -r part <"$file"
    first=$part
    while [ "$part" -le "$parts" ]; do
        log="$state/$name.$part.log"
        "$programs/exhaust_$name" --part "$part/$parts" --failures 100 >"$log" 2>&1
        code=$?
        line=$(tail -n 1 "$log")
        echo "$line"
        [ "$code" -le 1 ] || { failed=1; break; }
        # NAME: part K/N, U UNITS of T, C CASES, ..., V violations, S s
        cases=$((cases + $(awk -F', ' '{ split($3, words, " "); print words[1] }' <<<"$line")))
        unit=$(awk -F', ' '{ sub(/^[0-9]+ /, "", $3); print $3 }' <<<"$line")
        violations=$((violations + $(sed -E 's/.* ([0-9]+) violations.*/\1/' <<<"$line")))
        if [ "$code" -eq 1 ]; then
            failed=1
            echo "violations: see $log"
        else
            rm -f "$log"
        fi
        part=$((part + 1))
        echo "$part" >"$file"
    done
    [ "$part" -gt "$parts" ] && rm -f "$file"
    note
}

for name in "$@"; do
    case $name in
    sequences) run sequences 500 ;;
    damage) run damage 20 ;;
    faults) run faults 6 ;;
    *) run "$name" 1 ;;
    esac
done
exit $failed
