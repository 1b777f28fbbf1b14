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
    local wanted=$1 got
    shift
    got=$(offered "$@")
    grep -qxF -e "$wanted" <<<"$got" || fail "'tusk $*' is not completed with $wanted: $got"
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
        below=$("$tusk" "$command" --help | sed -n '1{/COMMAND \.\.\./!q};s/^  \([a-z]*\) .*/\1/p')
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

# ---- check ----

# What the machine decides is let be: --disk 101 and --unsynced 1000 are never reached.
calm=(--disk 101 --unsynced 1000)

all_is_well_is_a_line_with_figures() {
    local figures='lag=0;;;0 quota=0%;80;95;0;100 disk=+([0-9])%;101;;0;100 damage=0;1;1;0 unsynced=+([0-9]).[0-9][0-9][0-9]s;1000.000;;0'
    expect 0 "TUSK OK - the daemon answers, and all is well | $figures" "$tusk" check "${calm[@]}"
}

# From a threshold on, and not before.
lag_has_thresholds() {
    expect 0 '0 0' "$tusk" append $'late\n|' x
    expect 0 '*' "$tusk" cursor create $'late\n|' billing
    expect 0 '1 9' "$tusk" append $'late\n|' 1 2 3 4 5 6 7 8 9
    expect 0 '*| lag=10;11;*' "$tusk" check "${calm[@]}" --lag 11,12
    expect 1 "TUSK WARNING - cursor 'billing' of late.. is 10 entries behind | lag=10;10;11;0 *" "$tusk" check "${calm[@]}" --lag 10,11
    expect 2 "TUSK CRITICAL - cursor 'billing' of late.. is 10 entries behind | lag=10;;10;0 *" "$tusk" check "${calm[@]}" --lag ,10
    expect 0 '10	2' "$tusk" seek $'late\n|' 10 -c billing
    expect 0 'TUSK OK *' "$tusk" check "${calm[@]}" --lag 1,2
}

# Of any namespace, whichever the check is connected to.
quota_has_thresholds() {
    expect 0 '' "$tusk" ns create half quota-bytes=20M
    expect 0 '0 0' "$tusk" -n half append t x
    expect 1 'TUSK WARNING - namespace half has used 50% of its quota |* quota=50%;50;51;0;100 *' "$tusk" check "${calm[@]}" --quota 50,51
    expect 2 'TUSK CRITICAL - namespace half *' "$tusk" check "${calm[@]}" --quota 49,50
    expect 0 'TUSK OK *' "$tusk" check "${calm[@]}" --quota 51
    expect 0 '' "$tusk" ns delete half
}

disk_has_thresholds() {
    expect 1 "TUSK WARNING - the file system of $dir/data is +([0-9])% full |*" "$tusk" check "${calm[@]}" --disk 0
    expect 2 'TUSK CRITICAL - the file system of *' "$tusk" check "${calm[@]}" --disk 0,0
}

# What was read and damaged since the daemon started.
damage_is_critical() {
    expect 0 '0 0' "$tusk" append damaged 'the entry that is damaged'
    stop
    spoil 'the entry that is damaged'
    start
    expect 0 'TUSK OK *' "$tusk" check "${calm[@]}"
    expect 8 '' "$tusk" read damaged
    expect 2 'TUSK CRITICAL - +([0-9]) reads met damage since the daemon started |* damage=+([0-9]);1;1;0 *' "$tusk" check "${calm[@]}"
    expect 0 'TUSK OK *' "$tusk" check "${calm[@]}" --damage 1000
}

# With a schedule of hours, what was appended gets older and older. The schedule stays with the namespace: it is set back.
unsynced_has_thresholds() {
    local tries=0
    stop
    start --fsync 3600000
    expect 0 '*' "$tusk" append aging x
    until [[ $("$tusk" check --disk 101 --unsynced 0.05,0.1) == 'TUSK CRITICAL - something is written and not on disk for '*' s |'* ]]; do
        tries=$((tries + 1))
        [ "$tries" -lt 1000 ] || { fail "what is not synced does not get older"; break; }
    done
    stop
    start --fsync 200
    expect 0 '*' "$tusk" append aging y
    expect 0 'TUSK OK *' "$tusk" check "${calm[@]}"
}

# Without an answer it is critical; what cannot be looked at, or was asked for wrongly, is unknown.
trouble_with_the_check_is_told_apart() {
    expect 2 "TUSK CRITICAL - *$dir/nobody*" "$tusk" -s "$dir/nobody" check
    expect 3 'TUSK UNKNOWN - *nowhere*' "$tusk" -n nowhere check
    local words
    for words in '--lag x' '--lag 2,1' '--lag ,' '--lag -1' '--quota 1,2,3' 'x' '--nonsense'; do
        # shellcheck disable=SC2086
        expect 3 '' "$tusk" check $words
    done
    stop
    pushd "$dir" >/dev/null || exit 1
    start --data-dir data
    popd >/dev/null || exit 1
    expect 0 'TUSK OK *unsynced=*' "$tusk" check --unsynced 1000
    expect 3 'TUSK UNKNOWN - the data directory data cannot be looked at from here |*' "$tusk" check "${calm[@]}"
    expect 1 'TUSK WARNING - 0 reads met damage since the daemon started; the data directory data *' "$tusk" check "${calm[@]}" --damage 0
    if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        chmod 711 "$dir" && chmod 666 "$TUSK_SOCKET" && cp "$tusk" "$dir/tusk"
        expect 3 'TUSK UNKNOWN - *' setpriv --reuid 65534 --clear-groups "$dir/tusk" check
    fi
}

# ---- stat --watch ----

# The first look has nothing to compare with; a later one tells how fast what was appended came. SIGINT ends it, with 130.
rates_come_with_every_look_but_the_first() {
    local pid status
    "$tusk" stat --watch=0.01 -o jsonl >"$dir/looks" 2>&1 &
    pid=$!
    await grep -q '"name":"append_entries","value":[0-9]*,"per_second":null}' "$dir/looks"
    expect 0 '*' "$tusk" append watched 1 2 3 4 5
    await grep -qE '"name":"append_entries","value":[0-9]+,"per_second":[0-9]*[1-9][0-9.]*}' "$dir/looks"
    kill -INT "$pid"
    wait "$pid"
    status=$?
    [ "$status" -eq 130 ] || fail "stat --watch ended with $status"
    [ "$(grep -c '"append_entries",.*null}' "$dir/looks")" -eq 1 ] || fail "a later look has no rate"
    ! grep -q $'\033' "$dir/looks" || fail "a file got what moves a terminal's cursor"
    [[ $(tail -n 1 "$dir/looks") == '{"time":"'*'}' ]] || fail "the last line is not whole: $(tail -n 1 "$dir/looks")"
}

watching_takes_seconds_in_each_way() {
    local words
    for words in --watch '--watch 60' '--watch=60' '-w 60' -w60; do
        # shellcheck disable=SC2086
        interrupted INT "*	journal_lsn	+([0-9])	-*" "$tusk" stat $words -o raw
    done
    for words in '--watch x' '--watch=0' '--watch 1 2' '1' '-w 1e9'; do
        # shellcheck disable=SC2086
        expect 2 '' "$tusk" stat $words
    done
    expect 0 '*	*' "$tusk" stat -o raw
}

shopt -s extglob
every_error_is_explained
explanations_have_columns_for_programs
scripts_are_what_the_shells_read
completion_offers_what_help_tells
start
all_is_well_is_a_line_with_figures
lag_has_thresholds
completion_offers_what_may_stand_there
completion_is_silent_without_a_daemon
quota_has_thresholds
disk_has_thresholds
damage_is_critical
unsynced_has_thresholds
trouble_with_the_check_is_told_apart
rates_come_with_every_look_but_the_first
watching_takes_seconds_in_each_way
stop || fail "the stop was not clean: $(cat "$dir/log")"
echo "$failures failures"
[ "$failures" -eq 0 ]
