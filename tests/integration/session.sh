# What tests of the command line share: a daemon in a directory of its own, and what a command gives. Sourced by
# bash scripts that have set $tuskd and $tusk.
# shellcheck shell=bash disable=SC2154,SC2034

dir=$(mktemp -d)
daemon=
failures=0
finish() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
unset TUSK_NAMESPACE TUSK_DATA_DIR TUSK_LOG
export TUSK_SOCKET=$dir/tusk.sock
# However slow the machine is. What does not end by then is ended, and fails.
export TUSK_TIMEOUT=100

# The ready line comes through a pipe: when it can be read, the daemon serves.
start() {
    rm -f "$dir/ready"
    mkfifo "$dir/ready"
    "$tuskd" --data-dir "$dir/data" --socket "$TUSK_SOCKET" "$@" >"$dir/ready" 2>>"$dir/log" &
    daemon=$!
    read -r ready <"$dir/ready" || { echo "FAIL: no ready line: $(cat "$dir/log")"; exit 1; }
}

stop() {
    kill -TERM "$daemon"
    wait "$daemon"
    daemon=
}

# expect STATUS OUTPUT COMMAND...: OUTPUT is a pattern of the shell for standard output; what tusk says on standard error
# is left in $said.
expect() {
    local status=$1 output=$2 got got_status
    shift 2
    got=$(timeout 120 "$@" 2>"$dir/said")
    got_status=$?
    said=$(cat "$dir/said")
    # shellcheck disable=SC2053
    if [ "$got_status" -ne "$status" ] || [[ $got != $output ]]; then
        printf 'FAIL: %s\n  exit %s, wanted %s\n  output %q, wanted %q\n  said %s\n' "$*" "$got_status" "$status" \
            "$got" "$output" "$said"
        failures=$((failures + 1))
    fi
}

# interrupted SIGNAL OUTPUT COMMAND...: it ends with 130 when it gets the signal, which is sent when it has set itself up for
# that, and has printed OUTPUT. (timeout would send it twice, to the process and to its group.)
interrupted() {
    local signal=$1 output=$2 bit pid state caught status
    shift 2
    bit=$((1 << ($(kill -l "$signal") - 1)))
    "$@" >"$dir/got" 2>"$dir/said" &
    pid=$!
    # What has ended is there until it is waited for, and catches nothing.
    # shellcheck disable=SC2053
    while state=$(cat "/proc/$pid/status" 2>/dev/null) && [[ $state != *$'State:\tZ'* ]]; do
        caught=$(sed -n 's/^SigCgt:[[:space:]]*/0x/p' <<<"$state")
        [ $((caught & bit)) -eq 0 ] || [[ $(cat "$dir/got") != $output ]] || break
    done
    kill -s "$signal" "$pid" 2>/dev/null
    wait "$pid"
    status=$?
    if [ "$status" -ne 130 ]; then
        printf 'FAIL: %s\n  exit %s after SIG%s, wanted 130\n  output %q\n  said %s\n' "$*" "$status" "$signal" "$(cat "$dir/got")" \
            "$(cat "$dir/said")"
        failures=$((failures + 1))
    fi
}

# says PATTERN: what the last command said on standard error.
says() {
    # shellcheck disable=SC2053
    if [[ $said != $1 ]]; then
        printf 'FAIL: said %q, wanted %q\n' "$said" "$1"
        failures=$((failures + 1))
    fi
}

# fail WORD...: something is not as it should be.
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# spoil TEXT: while the daemon is down, one byte of the last batch that holds it changes.
spoil() {
    local at
    at=$(grep -abo "$1" "$dir"/data/ns/default/*.seg | tail -n 1 | cut -d: -f1)
    printf X | dd of="$(ls "$dir"/data/ns/default/*.seg)" bs=1 seek="$at" conv=notrunc status=none
}

# await COMMAND...: until it succeeds, for at most a minute.
await() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { fail "it did not come to pass: $*"; return 1; }
    done
}
