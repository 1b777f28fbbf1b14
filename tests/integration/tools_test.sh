#!/usr/bin/env bash
# The commands that tell an operator something: what an error means, what may be typed next, whether all is well.
#
#     tools_test.sh TUSKD TUSK SOURCE
set -uo pipefail

tuskd=$1 tusk=$2 source=$3
# shellcheck source=/dev/null
. "$(dirname "$0")/session.sh"

# ---- explain ----

# Every status, by each of its names and its sentence, and every exit status of both programs, as the source has them.
every_error_is_explained() {
    local number name text lines=0
    while read -r number name text; do
        expect 0 "*status $number, $name: ${text}"$'\n  Meaning *\n  Why *\n  What now *' "$tusk" explain "$number"
        expect 0 "status $number, $name: ${text}*" "$tusk" explain "$name"
        expect 0 "status $number, $name: *" "$tusk" explain "TUSK_E$name"
        expect 0 "status $number, $name: *" "$tusk" explain "e${name,,}"
        expect 0 "status $number, $name: *" "$tusk" explain "$text"
        lines=$((lines + 1))
    done < <(sed -n 's/^ *X(\([A-Z]*\), \([0-9]*\), "\(.*\)").*/\2 \1 \3/p' "$source/proto/status.h")
    [ "$lines" -ge 22 ] || fail "only $lines statuses were found"
    lines=0
    while read -r name number; do
        expect 0 "*exit status of $name $number: *Meaning *What now *" "$tusk" explain "$number"
        expect 0 "*exit status	$number	$name	*" "$tusk" explain
        lines=$((lines + 1))
    done < <(sed -n 's/^ *CLI_[A-Z]* = \([0-9]*\),.*/tusk \1/p' "$source/client/cli.h"
        sed -n 's/^ *EXIT_STATUS_\([A-Z]*\) = \([0-9]*\),.*/\1 \2/p' "$source/server/exit_status.h" | grep -v ^OK | sed 's/^[A-Z]*/tuskd/')
    [ "$lines" -ge 17 ] || fail "only $lines exit statuses were found"
}

explanations_have_columns_for_programs() {
    expect 0 '\[{"kind":"status","name":"QUOTA","number":17,"text":"*","meaning":"*","why":"*","remedy":"*"}\]' \
        "$tusk" explain QUOTA -o json
    expect 0 '{"kind":"status","name":"BUSY",*}'$'\n''{"kind":"exit status of tusk","name":"",*}' "$tusk" explain 8 -o jsonl
    expect 4 '\[\]' "$tusk" explain BUSINESS -o json
    says "*'BUSINESS' is no status*"
    expect 4 '' "$tusk" explain -- -23
    expect 4 '' "$tusk" explain ''
    expect 2 '' "$tusk" explain BUSY BUSY
}

shopt -s extglob
every_error_is_explained
explanations_have_columns_for_programs
echo "$failures failures"
[ "$failures" -eq 0 ]
