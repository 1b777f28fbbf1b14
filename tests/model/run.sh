#!/usr/bin/env bash
# Look at every state of journal.pml, and see that it objects to each wrong version of it.
#
#   tests/model/run.sh          one topic, three entries, two power cuts: under a minute, 1 GB
#   tests/model/run.sh --full   two topics: an hour or so
#
# Needs Debian's spin and a C compiler; says so and exits with 77 without them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
topics=1
[ "${1:-}" = --full ] && topics=2
plants=6

command -v spin >/dev/null || { echo "SKIPPED: spin is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# look OPTIONS [-DBFS]: the verifier's report.
look() {
    # shellcheck disable=SC2086
    spin -a $1 "$here/journal.pml" >/dev/null && cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=12000 ${2:-} -o pan pan.c &&
        ./pan -m1000000
}

failed=0
for schedule in 0 1; do
    look "-DTOPICS=$topics -DSCHEDULE=$schedule" >report
    states=$(sed -nE 's/^ *([0-9e+.]+) states, stored.*/\1/p' report)
    if grep -q 'errors: 0' report && ! grep -qE 'not completed|max search depth too small' report; then
        echo "schedule $schedule, $topics topics: $states states, all of them good"
    else
        echo "schedule $schedule, $topics topics: VIOLATED, or not finished"
        grep -E '^pan:|errors:|not completed|depth too small' report
        failed=1
    fi
done
for plant in $(seq "$plants"); do
    look "-DTOPICS=1 -DSCHEDULE=0 -DPLANT=$plant" -DBFS >report
    if grep -q 'errors: 1' report; then
        echo "plant $plant: caught: $(sed -nE 's/^pan:1: assertion violated (.*) \(at.*/\1/p' report)"
    else
        echo "plant $plant: NOT CAUGHT"
        failed=1
    fi
done
exit $failed
