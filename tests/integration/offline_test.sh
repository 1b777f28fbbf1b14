#!/usr/bin/env bash
# tusk verify, dump and salvage on the files of a real daemon: what is found when something is damaged, gone, of
# another kind or in use; and that what is salvaged is served again, bit for bit.
#
#     offline_test.sh TUSKD TUSK
set -uo pipefail
shopt -s extglob

tuskd=$1 tusk=$2
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
export TUSK_TIMEOUT=100 # However slow the machine is

fail() {
    printf 'FAIL: %s\n' "$*"
    failures=$((failures + 1))
}

# start DATA [OPTION...]: the ready line comes through a pipe: when it can be read, the daemon serves.
start() {
    rm -f "$dir/ready"
    mkfifo "$dir/ready"
    "$tuskd" --data-dir "$1" --socket "$TUSK_SOCKET" "${@:2}" >"$dir/ready" 2>>"$dir/log" &
    daemon=$!
    read -r ready <"$dir/ready" || { echo "FAIL: no ready line: $(cat "$dir/log")"; exit 1; }
}

stop() {
    kill "${1:--TERM}" "$daemon"
    wait "$daemon" 2>/dev/null
    daemon=
}

# expect STATUS PATTERN COMMAND...: PATTERN is one of the shell, for both outputs together.
expect() {
    local status=$1 pattern=$2 got got_status
    shift 2
    got=$(timeout 120 "$@" 2>&1)
    got_status=$?
    # shellcheck disable=SC2053
    if [ "$got_status" -ne "$status" ] || [[ $got != $pattern ]]; then
        fail "$(printf '%s\n  exit %s, wanted %s\n  output %.2000s\n  wanted %s' "$*" "$got_status" "$status" "$got" "$pattern")"
    fi
}

# The state of all files: names, sizes, modes, times and bytes. Reading must not change it.
state_of() {
    (cd "$1" && find . -printf '%p %s %m %U %T@ %C@\n' | sort && find . -type f -print0 | sort -z | xargs -0 md5sum)
}

# copy: a fresh copy of the store to be damaged, in $work.
copy() {
    rm -rf "$dir/work" "$dir/out"
    cp -a "$dir/data" "$dir/work"
    work=$dir/work
    ns=$work/ns/default
}

# flip FILE OFFSET
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\x$(printf '%x' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# reseal FILE PAGE: set the checksum of a header page right, after a change.
reseal() {
    python3 - "$1" "$2" <<'PY'
import struct, sys
table = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    table.append(c)
with open(sys.argv[1], 'r+b') as f:
    f.seek(int(sys.argv[2]) * 4096)
    page = f.read(4096)
    crc = 0xffffffff
    for b in page[:4092]:
        crc = crc >> 8 ^ table[(crc ^ b) & 255]
    f.seek(int(sys.argv[2]) * 4096 + 4092)
    f.write(struct.pack('<I', crc ^ 0xffffffff))
PY
}

# salvage_serves STATUS MISSING...: salvage $work, serve the result, and compare with what was appended: all but the lines that
# match a pattern must be there, and nothing else; and the cursor (without a manifest perhaps).
salvage_serves() {
    local status=$1 before after
    shift
    before=$(state_of "$work")
    expect "$status" '*entries*' "$tusk" salvage "$work" "$dir/out"
    after=$(state_of "$work")
    [ "$before" = "$after" ] || fail "salvage changed what it looked at"
    [ -d "$dir/out" ] || { fail "no $dir/out"; return; }
    start "$dir/out"
    [[ $ready == *recovery=clean* ]] || fail "a salvaged store is not clean: $ready"
    "$tusk" read orders >"$dir/orders.got"
    grep -vE "${1:-^no such line$}" "$dir/orders.sent" | cmp - "$dir/orders.got" || fail "orders differ: $*"
    "$tusk" read big -o raw | head -c 3000000 | cmp - "$dir/big.sent" || fail "big differs"
    "$tusk" -n eu read café >"$dir/eu.got"
    printf 'un\ndeux\n' | cmp - "$dir/eu.got" || fail "eu differs"
    [[ $(cursor_of billing) == ${2-1000} ]] || fail "the cursor stands at $(cursor_of billing), wanted ${2-1000}"
    # Offsets go on behind all that were given.
    "$tusk" append orders again >"$dir/appended" || fail "no append to a salvaged store"
    [ "$(cut -d' ' -f1 "$dir/appended")" -ge 20000 ] || fail "offset $(cat "$dir/appended") was given before"
    stop
    expect 0 '*clean: *' "$tusk" verify "$dir/out"
    rm -rf "$dir/out"
}

cursor_of() {
    "$tusk" cursors orders -o jsonl 2>/dev/null | sed -n "s/.*\"$1\".*\"offset\":\([0-9]*\).*/\1/p"
}

# ---- the store: three topics, two namespaces, a cursor, full and open blocks; stopped cleanly ----

seq -f 'order %g' 0 19999 >"$dir/orders.sent"
head -c 3000000 /dev/urandom >"$dir/big.sent"
start "$dir/data"
# However slowly: a hundred a batch, none sent early with fewer.
"$tusk" append orders -f "$dir/orders.sent" --batch 100:600000 >/dev/null || fail "append"
"$tusk" append big --split none -f "$dir/big.sent" >/dev/null || fail "append"
head -c 25000000 /dev/urandom | base64 -w 100 | "$tusk" append bulk >/dev/null || fail "append"
"$tusk" read orders -c billing -C 1000 >/dev/null || fail "read"
"$tusk" ns create eu || fail "ns create"
"$tusk" -n eu append café un deux >/dev/null || fail "append"

# ---- in use ----

expect 9 '*in use by process*--force-live*' "$tusk" verify "$dir/data"
expect 9 '*in use by process*' "$tusk" dump "$dir/data"
expect 9 '*in use by process*' "$tusk" salvage "$dir/data" "$dir/out"
expect 2 '*stop the daemon first*' "$tusk" salvage --force-live "$dir/data" "$dir/out"
expect 0 '*only sealed blocks*clean*' "$tusk" verify --force-live "$dir/data"
expect 0 '*manifest at=0*' "$tusk" dump --force-live "$dir/data"
[ ! -e "$dir/out" ] && [ ! -e "$dir/out.salvage" ] || fail "a refused salvage left something"
stop

# ---- clean, and unchanged by being looked at ----

before=$(state_of "$dir/data")
expect 0 '*R18*no damage*clean: 0 of 2*' "$tusk" verify "$dir/data"
expect 0 '*namespace "eu"*clean: 0 of 1*' "$tusk" -n eu verify "$dir/data"
expect 0 '*"what":"summary"*' "$tusk" verify -o json "$dir/data"
"$tusk" verify -o json "$dir/data" | python3 -m json.tool >/dev/null || fail "verify -o json is no JSON"
"$tusk" dump -o json "$dir/data" | python3 -m json.tool >/dev/null || fail "dump -o json is no JSON"
expect 0 '*data="un"*' "$tusk" -n eu dump --payload "$dir/data"
expect 0 '*hex=756e*' "$tusk" -n eu dump --payload=hex "$dir/data"
[ "$before" = "$(state_of "$dir/data")" ] || fail "looking changed the store"
copy
salvage_serves 0

# A torn tail is no damage.
start "$dir/data"
"$tusk" append orders killed >/dev/null
stop -KILL
echo killed >>"$dir/orders.sent"
expect 0 '*torn tail, not damage*clean*' "$tusk" verify "$dir/data"
start "$dir/data"
stop

# ---- damage of each kind of file ----

segment=$(cd "$dir/data/ns/default" && grep -la 'order 777' -- *.seg | head -n 1)
at=$(grep -abo -m 1 'order 777' "$dir/data/ns/default/$segment" | head -n 1 | cut -d: -f1)

copy # A batch: its hundred entries are gone, and told.
flip "$ns/$segment" "$at"
expect 8 '*DAMAGE (entries) topic "orders", offsets 700 to 799: *' "$tusk" verify "$work"
expect 8 '*body=BAD*' "$tusk" dump "$ns/$segment"
rm -f "$ns"/journal/*.jnl # The journal may still have it
salvage_serves 8 '^order 7[0-9][0-9]$'

copy # A block's page 0
flip "$ns/$segment" 100
expect 8 '*DAMAGE (header)*' "$tusk" verify "$work"
salvage_serves 0

copy # A seal, and with it nothing
sealed=$(cd "$ns" && grep -la $'TUSKSEA' -- *.seg | head -n 1)
seal_at=$(grep -abo $'TUSKSEA' "$ns/$sealed" | head -n 1 | cut -d: -f1)
flip "$ns/$sealed" $((seal_at + 400))
expect 8 '*DAMAGE (seal)*no entry is harmed*' "$tusk" verify "$work"
salvage_serves 0

copy # The newest manifest, then both
newest=$(find "$ns" -name 'manifest-0*' | sort | tail -n 1)
flip "$newest" 70
expect 8 '*DAMAGE (manifest)*R16*' "$tusk" verify "$work"
expect 8 '*checksum=BAD*' "$tusk" dump "$newest"
salvage_serves 0
copy
for manifest in "$ns"/manifest-0*; do flip "$manifest" 70; done
expect 8 '*no valid manifest*' "$tusk" verify "$work"
salvage_serves 8 '' '?(1000)'
copy
rm "$ns"/manifest-*
salvage_serves 8 '' '?(1000)'

copy # The journal: a header, all files
for journal in "$ns"/journal/*.jnl; do flip "$journal" 56; done
expect 8 '*recovery refuses this namespace: R17*' "$tusk" verify "$work"
salvage_serves 8
copy
rm -r "$ns/journal"
expect 8 '*refuses*' "$tusk" verify "$work"
salvage_serves 8

copy # A segment cut off behind the first block, and one that is gone
truncate -s 4096 "$ns/$segment"
expect 8 '*DAMAGE (entries)*' "$tusk" verify "$work"
copy
rm "$ns/$segment"
expect 8 '*DAMAGE (segment)*' "$tusk" verify "$work"
expect 8 '*LOST topic*' "$tusk" salvage "$work" "$dir/out"
start "$dir/out"
"$tusk" -n eu read café >"$dir/eu.got"
printf 'un\ndeux\n' | cmp - "$dir/eu.got" || fail "eu differs"
stop

copy # A newer version is not damage
printf '\x02' | dd of="$newest" bs=1 seek=8 conv=notrunc status=none
cp "$dir/data/ns/default/$(basename "$newest")" "$newest"
printf '\x02' | dd of="$newest" bs=1 seek=8 conv=notrunc status=none
reseal "$newest" 0
expect 9 '*newer*' "$tusk" verify "$work"
expect 9 '*format version 2*' "$tusk" dump "$newest"
expect 9 '*newer*' "$tusk" salvage "$work" "$dir/out"
[ ! -e "$dir/out" ] && [ ! -e "$dir/out.salvage" ] || fail "a refused salvage left something"

# ---- what is not a store ----

mkdir "$dir/empty"
expect 2 '*no data directory*' "$tusk" verify "$dir/empty"
expect 4 '*No such file*' "$tusk" verify "$dir/nowhere"
expect 2 '*is not a directory*' "$tusk" verify "$dir/orders.sent"
expect 2 '*is not a file of a store*' "$tusk" dump "$dir/orders.sent"
expect 2 '*neither a file nor a directory*' "$tusk" dump /dev/null
: >"$dir/nothing"
expect 2 '*is empty*' "$tusk" dump "$dir/nothing"
head -c 100 "$newest" >"$dir/piece"
expect 2 '*is truncated: 100 bytes*' "$tusk" dump "$dir/piece"
expect 4 '*no namespace "nope"*' "$tusk" -n nope verify "$dir/data"
expect 2 '*Usage: tusk salvage*' "$tusk" salvage "$dir/data"
expect 2 '*text, json or jsonl*' "$tusk" verify -o yaml "$dir/data"
expect 9 '*exists already*' "$tusk" salvage "$dir/data" "$dir/empty"
expect 2 '*in which nothing is changed*' "$tusk" salvage "$dir/data" "$dir/data/out"
expect 0 '*Exit status*' "$tusk" verify --help
TUSK_NAMESPACE=eu expect 0 '*clean: 0 of 2*' "$tusk" verify "$dir/data"

# ---- somebody else's ----

if [ "$(id -u)" -eq 0 ]; then
    copy
    chown -R nobody "$work"
    expect 0 '*clean*' "$tusk" verify "$work"
    expect 0 '*chown -R*' "$tusk" salvage "$work" "$dir/out"
    chmod 0711 "$dir"
    copy
    expect 5 '*Permission denied*' setpriv --reuid nobody --clear-groups "$tusk" verify "$work"
    chown -R nobody "$work"
    chmod 0 "$ns/$segment"
    chown root "$ns/$segment"
    expect 5 '*ermission*' setpriv --reuid nobody --clear-groups "$tusk" verify "$work"
else
    echo "not root: directories of other owners were not tried"
fi

echo "$failures failures"
[ "$failures" -eq 0 ]
