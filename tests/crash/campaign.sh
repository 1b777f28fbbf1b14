#!/usr/bin/env bash
# The long forms, in chunks, and a line about each in the ledger.
#
#   campaign.sh PROGRAMS STATE LEDGER
#
# PROGRAMS is the folder of the programs, STATE a folder for what was done so far, LEDGER the table.
# Goals by environment: KILLS, CUTS (each of four file systems), STATES (each of three), ERRORS (each
# of three), LAZY (cuts of the file system that forgets), POINTS (parts, of 800, of the points to kill
# at); 0 leaves one out. SEED is the first seed of campaigns that begin; by default the time, so that
# each campaign sees others. Interrupt it at any time: what was done is in the ledger, and the next
# call goes on behind it.
set -u
programs=$1
state=$2
ledger=$3
mkdir -p "$state"
commit=$(git -C "$(dirname "$ledger")" describe --always --dirty 2>/dev/null || echo unknown)
seeds_per_chunk=1000
failed=0

# What the campaign under way has done in this call; note() writes it down once.
name=
unit=
first=
last=
runs=0
violations=0

note() {
    if [ "$runs" -gt 0 ]; then
        echo "| $(date -u +%F) | $commit | $name | seeds $first to $last: $runs $unit | $violations |" >>"$ledger"
    fi
    runs=0
    violations=0
}
trap note EXIT
trap 'exit 130' INT TERM

# campaign PROGRAM FS GOAL CHUNK UNIT
campaign() {
    local program=$1 fs=$2 goal=$3 chunk=$4 file seed done count code line
    name="$program${fs:+ $fs}"
    unit=$5
    file="$state/$program${fs:+-$fs}"
    [ "$goal" -gt 0 ] || return 0
    done=0
    seed=${SEED:-$(date +%s)}
    [ -f "$file" ] && read -r done seed <"$file"
    first=$seed
    while [ "$done" -lt "$goal" ]; do
        count=$((goal - done < chunk ? goal - done : chunk))
        "$programs/tusk_$program" --seed "$seed" --count "$count" ${fs:+--fs "$fs"} >"$file.log" 2>&1
        code=$?
        line=$(tail -n 1 "$file.log")
        echo "$line"
        if [ "$code" -ne 0 ] && [ "$code" -ne 1 ]; then
            [ "$code" -eq 77 ] || failed=1
            break
        fi
        last=$seed
        runs=$((runs + count))
        if [ "$code" -eq 1 ]; then
            failed=1
            violations=$((violations + 1))
            mv "$file.log" "$file.seed$seed.log"
            echo "a violation: see $file.seed$seed.log"
        fi
        done=$((done + count))
        seed=$((seed + seeds_per_chunk))
        echo "$done $seed" >"$file"
    done
    [ "$done" -ge "$goal" ] && rm -f "$file" "$file.log"
    note
}

# All points to kill at, part by part.
campaign_points() {
    local goal=$1 parts=800 file="$state/kill_points" part=0 code line seed=${SEED:-1}
    [ "$goal" -gt 0 ] || return 0
    name=kill_points
    [ -f "$file" ] && read -r part <"$file"
    first=$((part + 1))
    while [ "$part" -lt "$goal" ]; do
        part=$((part + 1))
        "$programs/tusk_kill_points" --seed "$seed" --case "$part/$parts" >"$file.log" 2>&1
        code=$?
        line=$(tail -n 1 "$file.log")
        echo "$line"
        if [ "$code" -ne 0 ] && [ "$code" -ne 1 ]; then
            failed=1
            break
        fi
        runs=$((runs + $(sed -E 's/.* ([0-9]+) points.*/\1/' <<<"$line")))
        last=$part
        unit="points (parts, of $parts, are in the place of seeds)"
        if [ "$code" -eq 1 ]; then
            failed=1
            violations=$((violations + 1))
            mv "$file.log" "$file.part$part.log"
            echo "a violation: see $file.part$part.log"
        fi
        echo "$part" >"$file"
    done
    [ "$part" -ge "$goal" ] && rm -f "$file" "$file.log"
    note
}

campaign kill_storm "" "${KILLS:-10000}" 50 kills
for fs in ext4 ext4-writeback ext4-nojournal xfs; do
    campaign power_cut "$fs" "${CUTS:-2000}" 40 cuts
done
for fs in ext4 xfs btrfs; do
    campaign block_log "$fs" "${STATES:-5000}" 100 states
done
for fs in ext4 xfs btrfs; do
    campaign disk_error "$fs" "${ERRORS:-200}" 12 runs
done
campaign_points "${POINTS:-800}"
campaign lazy_fs "" "${LAZY:-2000}" 40 cuts
exit $failed
