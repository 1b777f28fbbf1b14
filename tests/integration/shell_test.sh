#!/usr/bin/env bash
# tusk shell as scripts use it: what a line does, which line ends a script and with what, and what nonsense gets for an answer.
# At a terminal: shell_terminal_test.py.
#
#     shell_test.sh TUSKD TUSK
set -uo pipefail

tuskd=$1 tusk=$2
# shellcheck source=/dev/null
. "$(dirname "$0")/session.sh"
export HOME=$dir
unset XDG_STATE_HOME

# script STATUS OUTPUT SCRIPT [OPTION...]: what the shell prints and exits with; backslashes in SCRIPT as printf has them.
script() {
    local status=$1 output=$2
    # shellcheck disable=SC2059
    printf "$3" >"$dir/script"
    shift 3
    expect "$status" "$output" "$tusk" shell "$@" <"$dir/script"
}

lines_do_what_commands_do() {
    script 0 $'0 1\nfirst order\nit\'s the second' "append orders 'first order' \"it's the second\"\nread orders\n"
    script 0 '' ''
    script 0 '' '\n  \n# nothing\n   # either\n'
    script 0 'first order' 'read orders -C 1'
    script 0 'first order' 'read orders -C 1\r\n'
    script 0 'first order' '  tusk read orders --count=1  # as one would outside\n'
    script 0 $'2 2\n\xff' 'append orders \xff\nread orders --from 2'
    # Each begins clean: a cursor, settings, a namespace and counters, one behind the other.
    script 0 $'first order\n0\norders\tmine\t1\t*' 'read orders -c mine -C 1\ntopic create small retention=size retention-size=2M
        topic trim small 0\ncursors orders'
    script 0 $'*\tread*' 'whoami'
    script 0 'append	1	100	1	3	*' 'bench append --count 3 --topic benched'
    script 0 '*What now*' 'explain QUOTA -o table'
    script 0 '*journal_lsn*' 'stat'
}

# Options of the shell are those of every line; a line's own are for that line.
options_of_the_shell_hold_for_every_line() {
    script 0 $'\\[\\{"topic":"orders",*}\\]\n{"topic":"orders",*}\n\\[\\{"topic":"orders",*}\\]' \
        'info orders\n-o jsonl info orders\ninfo orders' -o json
    script 0 '*' 'ns create elsewhere\nns create there'
    script 0 $'0 0\n0 0\nelsewhere\nthere' 'append x elsewhere\n-n there append x there\nread x\nread x -n there' -n elsewhere
    TUSK_SOCKET=/nowhere script 0 'elsewhere' 'read x' -s "$dir/tusk.sock" -n elsewhere
    TUSK_NAMESPACE=elsewhere script 0 'elsewhere' 'read x'
    script 6 '' 'ping' -s "$dir/nobody"
    says "*$dir/nobody*line 1 failed with exit status 6;*"
}

use_is_for_the_lines_that_follow() {
    script 0 $'elsewhere\nthere\nfirst order' 'use elsewhere\nread x\nuse there\nread x\nuse default\nread orders -C 1'
    script 4 $'elsewhere\nelsewhere' 'tusk use elsewhere\ntusk read x\nuse nowhere\nread x' -k
    says '*no namespace "nowhere"*line 3 failed with exit status 4'
    script 2 '' 'use\nuse a b\n-o json use elsewhere' -k
    says '*one namespace*line 1 *one namespace*line 2 *beginning of a line*line 3 *'
}

# The first line that fails ends a script, with its status; with --keep-going the first status is the script's.
a_script_ends_where_a_line_fails() {
    script 4 'first order' 'read orders -C 1\nread nope\nread orders -C 1'
    says $'*no such topic*\ntusk: line 2 failed with exit status 4; what follows it is not done (--keep-going)'
    script 4 $'first order\nfirst order' 'read orders -C 1\nread nope\n\nreed\nread orders -C 1' --keep-going
    says $'*\ntusk: line 2 failed with exit status 4\n*\ntusk: line 4 failed with exit status 2'
    script 3 '' 'read orders --from latest -e\nping'
    script 0 '' 'quit\nread nope'
    script 0 '' 'exit\nread nope'
    script 4 '' 'read nope\nquit\nreed' -k
    script 2 '' 'quit now'
    # What a line prints before it fails is not lost.
    script 2 'TUSK CRITICAL *' 'check --disk 0,0'
    # --help, --version and wrong options, all of which exit, end their line only.
    script 2 $'Usage: tusk read *\ntusk *\nUsage: tusk topic create*\n'"first order" \
        'read --help\n--version\ntopic create --usage\nread --nonsense\nread orders -C 1' -k
    says $'*unrecognized option*line 4 failed with exit status 2'
}

# A command that is ended by a signal ends its line; an interrupted one ends the script, --keep-going or not.
signals_end_what_runs() {
    printf 'read orders -f\nread orders -C 1\n' >"$dir/script"
    # Not redirected here: what bash starts in the background has no input but its own.
    interrupted TERM $'first order*' bash -c "exec '$tusk' shell -k <'$dir/script'"
    [ "$(grep -c 'first order' "$dir/got")" -eq 1 ] || fail "a script went on behind SIGTERM: $(cat "$dir/got")"
    grep -q 'line 1 was interrupted' "$dir/said" || fail "it is not said which line was interrupted: $(cat "$dir/said")"
    # The shell's child, found as such, is killed.
    rm "$dir/got" # What is in it is of the one before
    "$tusk" shell -k <"$dir/script" >"$dir/got" 2>"$dir/said" &
    local shell=$! child
    await grep -qs 'first order' "$dir/got"
    child=$(cat "/proc/$shell/task/$shell/children")
    kill -KILL "$child"
    wait "$shell"
    local status=$?
    [ "$status" -eq 137 ] || fail "exit status $status after a command that was killed"
    grep -q 'ended by signal 9' "$dir/said" || fail "not said that the command was killed: $(cat "$dir/said")"
    [ "$(grep -c 'first order' "$dir/got")" -eq 2 ] || fail "--keep-going does not go on behind a command that was killed"
}

# Whoever starts the shell with SIGCHLD ignored learns how its commands end all the same.
inherited_signals_do_no_harm() {
    printf 'read nope\n' >"$dir/script"
    (trap '' CHLD; exec "$tusk" shell <"$dir/script" 2>/dev/null)
    local status=$?
    [ "$status" -eq 4 ] || fail "exit status $status where SIGCHLD is ignored"
}

# Standard input is the script: no command takes lines of it.
commands_do_not_read_the_script() {
    script 2 'first order' 'append orders\nread orders -C 1' -k
    says '*standard input is the script*line 1 *'
    script 2 '' 'append orders -f -'
    script 0 'first order' 'append piped -f /dev/stdin\nread orders -C 1'
    printf 'one\ntwo\n' >"$dir/entries"
    script 0 $'3 4\none' "append orders -f $dir/entries\nread orders --from 3 -C 1"
    script 2 '' 'top\n'
    says '*top needs a terminal*'
}

a_restart_between_two_lines_is_no_problem() {
    local first second
    mkfifo "$dir/typed" "$dir/shown"
    "$tusk" shell <"$dir/typed" >"$dir/shown" &
    local shell=$!
    exec 7>"$dir/typed" 8<"$dir/shown"
    echo 'read orders -C 1' >&7
    read -r first <&8
    stop
    start 7>&- 8<&- # Or the daemon would have the script open, too
    echo 'read orders -C 1' >&7
    read -r second <&8
    exec 7>&- 8<&-
    wait "$shell" || fail "exit status $? over a restart"
    [ "$first$second" = "first orderfirst order" ] || fail "over a restart: $first, $second"
    rm "$dir/typed" "$dir/shown"
}

what_has_no_place_says_so() {
    script 2 '' 'shell\ncompletion bash\n-n default shell' -k
    says $'*this is the shell already*line 1 *Tab completes*line 2 *this is the shell already*line 3 *'
    expect 2 '' "$tusk" shell orders </dev/null
    says '*one argument too many*a script is standard input*'
}

help_tells_of_everything() {
    local commands
    commands=$("$tusk" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx -e shell -e completion)
    [ "$(printf 'help' | "$tusk" shell | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" = "$commands" ] ||
        fail "help does not list the commands"
    script 0 $'*Of the shell:\n  use *\n  help *\n  quit *\n  exit *' 'help'
    script 0 'Usage: tusk read *' 'help read'
    script 0 'Usage: tusk topic create *' 'help topic create'
    script 0 'use NAMESPACE: *' 'help use'
    script 2 '' 'help nonsense'
    ! "$tusk" --help | grep -q '^  use ' || fail "words of the shell are commands elsewhere"
}

nonsense_is_refused_and_named() {
    script 2 '' 'tpoics'
    says $'tusk: \'tpoics\' is no command; did you mean \'topics\'? \'help\' lists them\ntusk: line 1 *'
    script 2 '' 'hlep'
    says "*did you mean 'help'?*"
    script 2 '' 'topic craete x'
    says "*did you mean 'create'? 'tusk topic --help' lists them*"
    script 2 '' 'consume'
    says "tusk: 'consume' is no command; 'help' lists them*"
    script 2 '' "ping\nappend orders 'a b\n" -q
    says "tusk: line 2, column 15: the quote ' that begins here has no end*"
    script 2 '' 'read orders | head'
    says '*line 1, column 13: there is no | here*'
    script 2 '' 'append orders a\0b'
    says '*line 1, column 16: a NUL byte*'
    script 1 '' 'read \xff\xfe'
    says '*not valid UTF-8*line 1 *'
    expect 1 '' "$tusk" shell < <(head -c 17000000 /dev/zero | tr '\0' x)
    says 'tusk: line 1 has more than 16777216 bytes; append -f*'
    expect 0 '0 0' "$tusk" shell < <(printf 'append large '; head -c 8000000 /dev/zero | tr '\0' x)
    expect 0 '8000001' bash -c "'$tusk' read large | wc -c"
    expect 2 '' "$tusk" shell < <(head -c 300000 /dev/urandom | tr -d '\n')
    expect 1 '' "$tusk" shell <"$dir"
    says '*cannot read line 1*'
    expect 2 '' "$tusk" tpoics
    says "tusk: 'tpoics' is no command; did you mean 'topics'? 'tusk --help' lists them"
}

# A script leaves no history, and needs no home.
a_script_is_not_kept() {
    HOME=/nonexistent script 0 'first order' 'read orders -C 1'
    says ''
    [ ! -e "$dir/.local" ] || fail "a script made a history"
}

completion_knows_the_shell() {
    expect 0 '--keep-going*' "$tusk" completion next -- shell --
    expect 0 '*shell	*' "$tusk" completion next -- she
}

start
lines_do_what_commands_do
options_of_the_shell_hold_for_every_line
use_is_for_the_lines_that_follow
a_script_ends_where_a_line_fails
signals_end_what_runs
inherited_signals_do_no_harm
commands_do_not_read_the_script
a_restart_between_two_lines_is_no_problem
what_has_no_place_says_so
help_tells_of_everything
nonsense_is_refused_and_named
a_script_is_not_kept
completion_knows_the_shell
stop || fail "the stop was not clean: $(cat "$dir/log")"
echo "$failures failures"
[ "$failures" -eq 0 ]
