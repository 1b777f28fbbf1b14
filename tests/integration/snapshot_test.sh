#!/usr/bin/env bash
# tusk snapshot: a copy made while the daemon is written to is served by another daemon, and holds what was acknowledged
# before; what goes wrong leaves nothing behind.
#
#     snapshot_test.sh TUSKD TUSK
set -uo pipefail
shopt -s extglob

tuskd=$1 tusk=$2
. "$(dirname "$0")/session.sh"

# serve DATA COMMAND...: what a daemon on that directory answers.
serve() {
    local data=$1 pid ready said_status
    shift
    rm -f "$dir/copied"
    mkfifo "$dir/copied"
    "$tuskd" --data-dir "$data" --socket "$dir/copy.sock" >"$dir/copied" 2>>"$dir/copy.log" &
    pid=$!
    read -r ready <"$dir/copied" || fail "the copy is not served: $(tail -n 3 "$dir/copy.log")"
    TUSK_SOCKET=$dir/copy.sock "$@"
    said_status=$?
    kill -TERM "$pid"
    wait "$pid" || fail "the daemon of the copy did not stop cleanly"
    return $said_status
}

# It goes on until it is stopped, in pieces: so much that copies take for ever is not needed.
produce() {
    while [ ! -e "$dir/enough" ]; do
        seq 1 2000 | "$tusk" append -q -f - busy >/dev/null 2>&1
    done
}

# A producer goes on all the while.
a_copy_holds_what_was_acknowledged() {
    local producer before copied number
    produce &
    producer=$!
    seq 1 5000 | "$tusk" append -f - done >/dev/null
    await test -n "$("$tusk" topics -o raw | grep ^busy)"
    for number in 1 2 3; do
        before=$("$tusk" info busy -o json | sed 's/.*"entries": *\([0-9]*\).*/\1/')
        expect 0 'default	*' "$tusk" snapshot "$dir/copy$number"
        expect 0 '*clean: 0 of 1 namespaces damaged*' "$tusk" verify "$dir/copy$number"
        copied=$(serve "$dir/copy$number" "$tusk" info busy -o json | sed 's/.*"entries": *\([0-9]*\).*/\1/')
        [ "$copied" -ge "$before" ] || fail "copy $number has $copied entries of $before"
        serve "$dir/copy$number" "$tusk" read done -C 10000 >"$dir/got"
        [ "$(md5sum <"$dir/got")" = "$(seq 1 5000 | md5sum)" ] || fail "copy $number has other entries: $(wc -l <"$dir/got")"
    done
    touch "$dir/enough"
    wait "$producer"
    [ ! -e "$dir/copy1.partial" ] || fail "the copy's other name is still there"
}

# A copy is a store of its own: what is written to one is not in the other.
a_copy_goes_its_own_way() {
    serve "$dir/copy1" "$tusk" append done here >/dev/null
    expect 3 '' "$tusk" read -e done --from 5000
    serve "$dir/copy1" "$tusk" read done --from 5000 -o raw >"$dir/got"
    grep -qx here "$dir/got" || fail "what was appended to the copy is not there: $(cat "$dir/got")"
}

# All namespaces, or the one that is named.
namespaces_are_copied() {
    expect 0 '' "$tusk" ns create eu
    expect 0 '*' "$tusk" -n eu append orders one
    expect 0 'default	+([0-9	])
eu	+([0-9	])' "$tusk" snapshot "$dir/all"
    expect 0 'eu	+([0-9	])' "$tusk" -n eu snapshot "$dir/one" --no-reflink
    [ "$(ls "$dir/one/ns")" = eu ] || fail "more than one namespace was copied: $(ls "$dir/one/ns")"
    expect 0 '[{"namespace":"eu",*' "$tusk" -n eu snapshot -o json "$dir/json"
    expect 4 '' "$tusk" -n nowhere snapshot "$dir/nowhere"
    [ ! -e "$dir/nowhere" ] && [ ! -e "$dir/nowhere.partial" ] || fail "a failed snapshot left something"
}

# What a person may get wrong is told, and leaves nothing behind.
mistakes_are_told() {
    expect 9 '' "$tusk" snapshot "$dir/all"
    says '*is there already*'
    expect 9 '' "$tusk" snapshot "$dir/data/ns/inside"
    says "*would lie in the daemon's own directory*"
    mkdir "$dir/half.partial"
    expect 9 '' "$tusk" snapshot "$dir/half"
    says '*what is left of one*'
    expect 9 '' "$tusk" snapshot "$dir/no/such"
    expect 2 '' "$tusk" snapshot
    expect 2 '' "$tusk" snapshot a b
    [ -z "$(ls -d "$dir"/data/ns/inside* "$dir"/no* 2>/dev/null)" ] || fail "a refused snapshot left something"
    if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        stop
        printf '[defaults]\nallow = user:65533 admin\n' >"$dir/tuskd.conf"
        start --config "$dir/tuskd.conf"
        chmod 711 "$dir" && cp "$tusk" "$dir/tusk" && mkdir -m 777 "$dir/theirs"
        expect 5 '' setpriv --reuid 65533 --clear-groups "$dir/tusk" snapshot "$dir/theirs/copy"
        says "*cannot open*run this as the daemon's user, or as root*"
        [ -z "$(ls "$dir/theirs")" ] || fail "who may not read the files left something: $(ls "$dir/theirs")"
    fi
}

# Half a copy is never taken for one: a file that was cut off later is found when it is opened.
a_truncated_copy_is_refused() {
    cp -r "$dir/one" "$dir/cut"
    truncate -s 4000 "$dir"/cut/ns/eu/manifest-*
    expect 8 '*"eu"*manifest*' "$tusk" verify "$dir/cut"
    rm "$dir"/one/ns/eu/manifest-*
    expect 8 '*manifest*' "$tusk" verify "$dir/one"
}

# Where the file system can, a copy shares its bytes with the original.
bytes_are_shared_where_they_can_be() {
    local mount=$dir/xfs shared
    [ "$(id -u)" -eq 0 ] && command -v mkfs.xfs >/dev/null || { echo "SKIP: sharing needs root and XFS"; return; }
    truncate -s 400M "$dir/image" && mkfs.xfs -q "$dir/image" && mkdir "$mount"
    if ! mount -o loop "$dir/image" "$mount" 2>/dev/null; then
        echo "SKIP: sharing needs a loop mount"
        return
    fi
    stop
    start --data-dir "$mount/data"
    seq 1 300000 | "$tusk" append -f - t >/dev/null
    shared=$("$tusk" snapshot "$mount/copy" -o raw | cut -f 4)
    [ "${shared:-0}" -gt 1000000 ] || fail "nothing was shared: $shared"
    "$tusk" append t more >/dev/null
    expect 0 '*clean: 0 of 1*' "$tusk" verify "$mount/copy"
    serve "$mount/copy" "$tusk" read t --from 299999 -o raw >"$dir/got"
    [ "$(cat "$dir/got")" = 300000 ] || fail "a shared copy changed with its original: $(cat "$dir/got")"
    stop
    umount "$mount"
    start
}

start
a_copy_holds_what_was_acknowledged
a_copy_goes_its_own_way
namespaces_are_copied
mistakes_are_told
a_truncated_copy_is_refused
bytes_are_shared_where_they_can_be
stop || fail "the stop was not clean: $(cat "$dir/log")"
echo "$failures failures"
[ "$failures" -eq 0 ]
