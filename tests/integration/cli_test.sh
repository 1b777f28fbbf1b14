#!/usr/bin/env bash
# tusk against the real tuskd, as a shell uses both: README's session word by word, the outputs and the exit codes
# that scripts rely on, and what nonsense gets for an answer.
#
#     cli_test.sh TUSKD TUSK README
set -uo pipefail

tuskd=$1 tusk=$2 readme=$3
# shellcheck source=/dev/null
. "$(dirname "$0")/session.sh"

# The commands of README's session give what README shows. Comments and the two commands that never end are left out.
session_is_as_in_readme() {
    local command='' wanted='' got line lines=0
    PATH=$(dirname "$tuskd"):$(dirname "$tusk"):$PATH
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            check_session_line "$command" "$wanted"
            command=${line#\$ } command=${command%%  #*} wanted=
            lines=$((lines + 1))
        else
            wanted+=${wanted:+$'\n'}$line
        fi
    done < <(sed -n '/^\$ tusk append/,/^```/p' "$readme" | grep -v '^```')
    check_session_line "$command" "$wanted"
    [ "$lines" -ge 8 ] || { echo "FAIL: README's session was not found"; failures=$((failures + 1)); }
}

check_session_line() {
    local command=$1 wanted=$2 got
    case $command in
    '' | *--follow*) return ;;
    esac
    got=$(eval "$command" 2>&1)
    if [ -n "$wanted" ] && [ "$got" != "$wanted" ]; then
        printf 'FAIL: README: %s\n  gives %q\n  not %q\n' "$command" "$got" "$wanted"
        failures=$((failures + 1))
    fi
}

outputs_are_as_documented() {
    expect 0 '{"topic":"o","first_offset":0,"last_offset":2,"durable_offset":3}' \
        "$tusk" append o a 'b"' $'\xff' --ack durable -o json
    expect 0 $'a\nb"\n'$'\xff' "$tusk" read o -o raw
    expect 0 '{"topic":"o","offset":1,"time":+([0-9]),"key":null,"size":2,"data":"b\\""}' \
        "$tusk" read o --from 1 -C 1 -o jsonl
    expect 0 '{"topic":"o","offset":2,"time":+([0-9]),"key":null,"size":1,"data_b64":"/w=="}' \
        "$tusk" read o --from 2 -o jsonl
    expect 0 $'*OFFSET*SIZE*DATA\n*0*1*a' "$tusk" read o -C 1 -o table
    expect 0 '\[\]' "$tusk" read o --from latest -o json
    expect 0 '\[{"topic":"o","entries":3,"first":0,"end":3,*}\]' "$tusk" info o -o json
    expect 0 '' "$tusk" append o d -q
    expect 0 '3	1' "$tusk" checkpoint o 3 -c k
    expect 0 '1	2' "$tusk" seek o 1 -c k
    expect 0 'o	k	1	1	3	2' "$tusk" cursors o
    expect 0 '2' "$tusk" topic trim o 2
    expect 0 $'\xff' "$tusk" read o -C 1
    expect 0 '*journal_lsn	+([0-9])*' "$tusk" stat
    expect 0 'tuskd *	+([0-9])' "$tusk" ping
    expect 0 '' "$tusk" sync
    for kind in append latency read e2e; do
        expect 0 "\[{\"bench\":\"$kind\",*\"p99_us\":*}\]" \
            "$tusk" bench "$kind" --count 100 --batch 10 --rate 1000 --topic "$(printf 'b%.0s' {1..100})" -o json
    done
    expect 0 '*"entries":10,*' "$tusk" bench latency --clients 2 --count 10 -o json
    expect 0 '*' "$tusk" info "$(printf 'b%.0s' {1..100})"
}

exit_codes_are_as_documented() {
    expect 1 '' "$tusk" topic create o
    expect 1 '' "$tusk" checkpoint o 99999 -c k
    expect 0 '' "$tusk" read o --from latest
    expect 3 '' "$tusk" read o --from latest -e
    expect 3 '' "$tusk" read o --from latest -f --timeout 0.2
    expect 4 '' "$tusk" read nope
    says '*no such topic*'
    expect 4 '' "$tusk" append nope x --no-create
    expect 4 '' "$tusk" cursor delete o nope
    expect 4 '' "$tusk" -n nope topics
    expect 4 '' env TUSK_NAMESPACE=nope "$tusk" topics
    expect 2 '' env TUSK_TIMEOUT=soon "$tusk" ping
    says '*TUSK_TIMEOUT*number of seconds*'
    expect 0 '*' env TUSK_TIMEOUT= "$tusk" ping
    kill -STOP "$daemon"
    expect 6 '' env TUSK_TIMEOUT=0.1 "$tusk" ping
    kill -CONT "$daemon"
    expect 6 '' "$tusk" -s "$dir/nobody" ping
    says "*$dir/nobody*is it running*"
    expect 0 '' "$tusk" ns create small quota-topics=1
    expect 0 '0 0' "$tusk" -n small append one x
    expect 7 '' "$tusk" -n small append two x
    says '*1 are not*'
    expect 0 '' "$tusk" ns delete small
    # With many appends in flight when the first one is refused.
    expect 0 '' "$tusk" ns create tight quota-bytes=10M
    expect 7 '' "$tusk" -n tight bench append --size 10 --batch 100 --window 4000 --count 10000000
    says '*has used its quota of 10485760 bytes*'
    # A quota below what is used is taken, and what follows is said; sizes have units.
    expect 0 '' "$tusk" ns set tight quota-bytes=5M
    says '*namespace tight uses 10MiB, 5MiB more than its quota: nothing is lost*'
    expect 0 '' "$tusk" ns set tight quota-policy=drop-oldest
    says '*the next append that needs a new block drops that much of its oldest entries*'
    expect 0 '*quota-bytes=5MiB quota-topics=0 quota-cursors=0 quota-policy=drop-oldest*' "$tusk" ns ls
    expect 2 '' "$tusk" ns set tight quota-policy=never
    expect 0 '' "$tusk" ns delete tight
    interrupted INT '' "$tusk" read o --from latest -f
    interrupted TERM "*journal_lsn*" "$tusk" stat --watch 60
    if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        chmod 711 "$dir" && chmod 666 "$TUSK_SOCKET" && cp "$tusk" "$dir/tusk"
        expect 5 '' setpriv --reuid 65534 --clear-groups "$dir/tusk" ping
        says "*only root, the daemon's own user and whom an allow line*may*be root*"
    fi
}

# A row of a table stays a row, whatever a name holds.
names_do_not_break_rows() {
    local name=$'a\tb\nc\\'
    expect 0 '*' "$tusk" topic create "$name"
    expect 0 $'*a\\\\tb\\\\nc\\\\\\\\\t*' "$tusk" topics -o raw
    expect 0 '*"a\\u0009b\\u000ac\\\\"*' "$tusk" topics -o json
    expect 0 '*' "$tusk" topic delete "$name"
}

# Characters that take two columns of a terminal do not shift what stands behind them.
tables_are_aligned() {
    local table wide narrow
    expect 0 '*' "$tusk" append 日本語 x
    expect 0 '*' "$tusk" append abcdef x
    table=$("$tusk" topics -o table)
    wide=$(sed -n 's/^日本語//p' <<<"$table")
    narrow=$(sed -n 's/^abcdef//p' <<<"$table")
    [ -n "$wide" ] && [ "${wide:0:20}" = "${narrow:0:20}" ] || fail "not aligned: $table"
    expect 0 '*' "$tusk" topic delete 日本語
    expect 0 '*' "$tusk" topic delete abcdef
}

nonsense_is_refused_with_a_remedy() {
    local words
    for words in '' nonsense --nonsense '-o xml topics' '--timeout 0 ping' append read 'read o -C 0' \
        'read o --max-bytes 0' 'read o --from x' 'checkpoint o x' 'seek o x' 'topic set o x=1' 'topic trim o x' \
        'append o x --batch 0' 'append o x --ack x' 'append -f x o y' 'bench x' 'bench append --clients 0' \
        'cursor x' 'ns ls x' 'sync x' 'stat --watch x' config 'config show x' 'config diff x' 'whoami x' acl 'acl check' 'slowlog x' 'slowlog --limit 0'; do
        # shellcheck disable=SC2086
        expect 2 '*' "$tusk" $words
    done
    expect 2 '' "$tusk" append o x --batch 5:x
    says "*'5:x'*"
    expect 2 '' "$tusk" topic set o fsync=each
    says "*'fsync=each'*namespace*retention*"
    expect 0 'Usage: tusk *' "$tusk" --usage
    for words in append read checkpoint seek cursors 'cursor create' 'cursor delete' topics 'topic create' \
        'topic delete' 'topic trim' 'topic set' info 'ns ls' 'ns create' 'ns set' 'ns delete' sync 'config show' 'config diff' whoami 'acl check' slowlog stat ping bench; do
        # shellcheck disable=SC2086
        expect 0 "Usage: tusk $words *--timeout*" "$tusk" $words --help
    done
}

# Reading damage exits 8 and names the range, and with --skip-damage it goes on and names the same. A cursor passes
# damage that is the last there is to read.
damage_is_told() {
    local entry told
    expect 0 '0 0' "$tusk" append damaged 'the entry that is damaged'
    expect 0 '1 1' "$tusk" append damaged 'the next'
    expect 0 '0 0' "$tusk" append ending 'the last there is'
    for entry in first 'in the midst, damaged' second third 'damaged, too' fourth; do
        expect 0 '*' "$tusk" append between "$entry"
    done
    stop
    spoil 'in the midst, damaged'
    spoil 'damaged, too'
    spoil 'the entry that is damaged'
    spoil 'the last there is'
    start
    expect 8 '' "$tusk" read damaged
    says '*entries 0 to 0*damaged*'
    expect 8 'the next' "$tusk" read damaged --skip-damage
    says '*entries 0 to 0 are damaged and were skipped*'
    # What was skipped is told where it stood, in what is printed, however far was read ahead.
    told=$("$tusk" read between --skip-damage 2>&1)
    entry='tusk: between: entries % to % are damaged and were skipped'
    [ "$told" = "first
${entry//%/1}
second
third
${entry//%/4}
fourth" ] || fail "damage is told out of order: $told"
    expect 8 '' "$tusk" read ending -c reader
    expect 8 '' "$tusk" read ending -c reader --skip-damage
    says '*entries 0 to 0 are damaged and were skipped*'
    expect 3 '' "$tusk" read ending -c reader -e
}

# Who may do what, and by which rule.
access_is_told() {
    stop
    printf '[defaults]\nallow = user:65533 append\n' >"$dir/tuskd.conf"
    start --config "$dir/tuskd.conf"
    expect 0 "*	default	read,append,admin	root and the daemon's own user may do everything	-	-	-	-" "$tusk" whoami
    if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        chmod 711 "$dir" && cp "$tusk" "$dir/tusk"
        expect 0 "65533	*	default	append	allow in $dir/tuskd.conf:2	1/1024	*/134217728	0/1024	0/10000" \
            setpriv --reuid 65533 --clear-groups "$dir/tusk" whoami
    fi
    expect 0 "65533	*	default	append	allow in $dir/tuskd.conf:2" "$tusk" acl check 65533
    expect 0 "*	other	none	no allow line matches" "$tusk" acl check 65532 other
    expect 4 '' "$tusk" acl check no-such-user-here
    says '*knows no such user*'
}

# What is in force, what is not the default, and what the files would change; with a column for where it comes from.
configuration_is_told() {
    stop
    printf '[server]\nrequests_max = 9\n[namespace "default"]\nfsync = 1s\n' >"$dir/tuskd.conf"
    start --config "$dir/tuskd.conf"
    expect 0 "*server	requests_max	9	$dir/tuskd.conf:2*namespace \"default\"	fsync	1s	$dir/tuskd.conf:4*" \
        "$tusk" config show
    expect 0 "server	data_dir	./tusk-data	$dir/data	--data-dir*server	requests_max	4096	9	$dir/tuskd.conf:2*" \
        "$tusk" config diff
    expect 0 '' "$tusk" config diff --files
    printf '[server]\nrequests_max = 10\nring_size = 32MiB\n[namespace "default"]\nfsync = 2s\n' >"$dir/tuskd.conf"
    expect 0 "\[{\"section\":\"server\",\"key\":\"requests_max\",\"value\":\"9\",\"files\":\"10\",\"origin\":\"*conf:2\",\
\"needs\":\"reload\"}*\"ring_size\",\"value\":\"64MiB\",\"files\":\"32MiB\",*\"needs\":\"restart\"}*\"2s\"*\"reload\"}\]" \
        "$tusk" config diff --files -o json
    expect 1 '' "$tusk" ns set default fsync=3
    says "*fsync of namespace \"default\" is fixed by $dir/tuskd.conf:4*"
    echo 'rubbish' >>"$dir/tuskd.conf"
    expect 1 '' "$tusk" config diff --files
    says "*$dir/tuskd.conf:6: \"rubbish\" is neither*"
    stop
    start
}

shopt -s extglob
start
session_is_as_in_readme
outputs_are_as_documented
exit_codes_are_as_documented
names_do_not_break_rows
tables_are_aligned
nonsense_is_refused_with_a_remedy
damage_is_told
access_is_told
configuration_is_told
stop || { echo "FAIL: the stop was not clean: $(cat "$dir/log")"; failures=$((failures + 1)); }
echo "$failures failures"
[ "$failures" -eq 0 ]
