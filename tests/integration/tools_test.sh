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

# ---- completion ----

# offered WORD...: what bash offers in place of the last word, a line each.
offered() {
    PATH=$(dirname "$tusk"):$PATH timeout 60 bash --norc -c 'source <(tusk completion bash) && complete -p tusk >/dev/null || exit 1
        COMP_WORDS=(tusk "$@") COMP_CWORD=$#
        _tusk
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# offers CANDIDATE WORD...: CANDIDATE is one of them.
offers() {
    local wanted=$1
    shift
    offered "$@" | grep -qxF -e "$wanted" || fail "'tusk $*' is not completed with $wanted: $(offered "$@" | tr '\n' ' ')"
}

# options_offered COMMAND...: every option that --help tells of.
options_offered() {
    local option got
    got=$(offered "$@" --)
    for option in $("$tusk" "$@" --help | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p' | grep -vx -e --usage -e --version); do
        grep -qxF -e "$option" <<<"$got" || fail "tusk $*: $option is not offered"
        options=$((options + 1))
    done
}

# Nothing that --help tells of is missing, of any command and of those below it.
completion_offers_what_help_tells() {
    local command below commands options=0
    offers --socket --
    offers --version --
    commands=$("$tusk" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
    for command in $commands; do
        offers "$command" ''
        below=$("$tusk" "$command" --help | grep -q 'COMMAND \.\.\.' && "$tusk" "$command" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
        [ -n "$below" ] || options_offered "$command"
        for below in $below; do
            offers "$below" "$command" ''
            options_offered "$command" "$below"
        done
    done
    [ "$options" -gt 200 ] || fail "only $options options were compared"
}

# Where a name of something is to stand, what there is; where a value, what is allowed.
completion_offers_what_may_stand_there() {
    local t=(--timeout 60)
    expect 0 '0 0' "$tusk" append 'orders of may' x
    expect 0 '*' "$tusk" cursor create 'orders of may' billing
    expect 0 '*' "$tusk" ns create elsewhere
    offers 'orders\ of\ may' "${t[@]}" read 'o'
    offers 'orders\ of\ may' read --count 5 "${t[@]}" 'ord'
    offers billing "${t[@]}" checkpoint 'orders of may' -c ''
    offers billing "${t[@]}" cursor delete 'orders of may' b
    offers elsewhere "${t[@]}" -n e
    [ -z "$(offered "${t[@]}" -n elsewhere read o)" ] || fail "topics of another namespace are offered"
    offers written append x --ack ''
    offers durable append x --ack = d
    offers jsonl -o j
    offers jsonl verify -o j
    offers retention= topic create x r
    offers QUOTA explain Q
    offers latency bench l
    offers fish completion ''
    offers "$dir/data" verify "$dir/d"
    offers "$dir/data" append x -f "$dir/d"
    [ -z "$(offered read x y)" ] || fail "a word too many is completed"
    [ -z "$(offered nonsense '')" ] || fail "what is no command is completed"
    expect 0 ':files' "$tusk" completion next -- dump ''
}

# Without a daemon nothing is offered where its names would stand, and nothing is said.
completion_is_silent_without_a_daemon() {
    expect 0 '' "$tusk" -s "$dir/nobody" completion next -- read ''
    [ -z "$(offered -s "$dir/nobody" read '' 2>&1)" ] || fail "something is offered without a daemon"
}

scripts_are_what_the_shells_read() {
    local shell
    for shell in bash zsh fish; do
        expect 0 '*completion next --*' "$tusk" completion "$shell"
        if command -v "$shell" >/dev/null; then
            "$tusk" completion "$shell" >"$dir/script" && "$shell" -n "$dir/script" || fail "$shell does not read its script"
        else
            echo "SKIP: $shell is not installed: its script was not read by it"
        fi
    done
    expect 2 '' "$tusk" completion ksh
    says "*bash, zsh or fish*"
    expect 2 '' "$tusk" completion
    expect 2 '' "$tusk" completion bash zsh
}

shopt -s extglob
every_error_is_explained
explanations_have_columns_for_programs
scripts_are_what_the_shells_read
completion_offers_what_help_tells
start
completion_offers_what_may_stand_there
completion_is_silent_without_a_daemon
stop || fail "the stop was not clean: $(cat "$dir/log")"
echo "$failures failures"
[ "$failures" -eq 0 ]
