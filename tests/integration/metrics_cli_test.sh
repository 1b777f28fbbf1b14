#!/usr/bin/env bash
# tusk metrics against the real tuskd: the text, the file for node_exporter, and answers that are none.
#
#     metrics_cli_test.sh TUSKD TUSK
set -uo pipefail

tuskd=$1 tusk=$2
dir=$(mktemp -d)
daemon=
peer=
failures=0
finish() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    [ -z "$peer" ] || kill -KILL "$peer" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
unset TUSK_NAMESPACE TUSK_DATA_DIR TUSK_LOG TUSK_METRICS_SOCKET
export TUSK_SOCKET=$dir/tusk.sock

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# expect STATUS WHAT COMMAND...: standard output is left in $dir/out, standard error in $dir/said.
expect() {
    local status=$1 what=$2 got
    shift 2
    "$@" >"$dir/out" 2>"$dir/said"
    got=$?
    [ "$got" -eq "$status" ] || fail "$what: exit $got, wanted $status: $(cat "$dir/said")"
}

# The ready line comes through a pipe: when it can be read, the daemon serves.
mkfifo "$dir/ready"
"$tuskd" --data-dir "$dir/data" --socket "$TUSK_SOCKET" --set metrics_socket="$dir/metrics.sock" \
    >"$dir/ready" 2>"$dir/log" &
daemon=$!
read -r _ <"$dir/ready" || { echo "FAIL: no ready line: $(cat "$dir/log")"; exit 1; }

expect 0 "append" "$tusk" append orders one two three
expect 0 "a cursor" "$tusk" read orders -c billing
expect 0 "metrics" "$tusk" metrics --timeout 60
grep -qx 'tusk_topic_entries{namespace="default",topic="orders"} 3' "$dir/out" || fail "the text lacks a topic"
tail -n 1 "$dir/out" | grep -q '^tusk_cursor_lag_entries{.*} 0$' || fail "the text breaks off: $(tail -n 1 "$dir/out")"

# The file is there all at once, for everybody, and nothing beside it.
mkdir "$dir/files"
echo old >"$dir/files/tusk.prom"
expect 0 "textfile" "$tusk" metrics --timeout 60 --textfile "$dir/files/tusk.prom"
grep -qx 'tusk_ready 1' "$dir/files/tusk.prom" || fail "the file lacks tusk_ready"
[ "$(stat -c %a "$dir/files/tusk.prom")" = 644 ] || fail "mode $(stat -c %a "$dir/files/tusk.prom")"
[ "$(ls "$dir/files")" = tusk.prom ] || fail "beside the file: $(ls "$dir/files")"
expect 1 "no such directory" "$tusk" metrics --timeout 60 --textfile "$dir/nowhere/tusk.prom"

# Where the socket is: an option, the environment, beside the daemon's.
expect 0 "--from" env TUSK_SOCKET=/nowhere "$tusk" metrics --timeout 60 --from "$dir/metrics.sock"
expect 0 "environment" env TUSK_SOCKET=/nowhere TUSK_METRICS_SOCKET="$dir/metrics.sock" "$tusk" metrics --timeout 60
expect 6 "nobody there" "$tusk" metrics --from "$dir/nobody"
grep -q 'metrics_socket' "$dir/said" || fail "no remedy: $(cat "$dir/said")"
expect 2 "an argument" "$tusk" metrics now
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 711 "$dir"
    expect 5 "another user" setpriv --reuid 65533 --regid 65533 --clear-groups "$tusk" metrics --from "$dir/metrics.sock"
fi

# An answer that breaks off, is an error or is not HTTP fails, and the file stays as it was.
cat >"$dir/peer.py" <<'PEER'
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
for answer in sys.argv[2:]:
    peer, _ = listener.accept()
    peer.recv(4096)
    peer.sendall(answer.encode().decode("unicode_escape").encode("latin-1"))
    peer.shutdown(socket.SHUT_WR)
    peer.recv(4096)
    peer.close()
PEER
head='HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
answers=("${head}5\r\nabc" "${head}3\r\nabc\r\n" "${head}3\r\nabcdef\r\n0\r\n\r\n" "${head}zz\r\n" "${head}ffffffffff\r\n"
    'HTTP/1.1 503 Service Unavailable\r\n\r\n' 'HTTP/1.1 200 OK\r\n\r\nabc' 'SSH-2.0-OpenSSH\r\n' '')
mkfifo "$dir/peer_ready"
python3 "$dir/peer.py" "$dir/peer" "${answers[@]}" >"$dir/peer_ready" 2>>"$dir/log" &
peer=$!
read -r _ <"$dir/peer_ready" || fail "no peer: $(cat "$dir/log")"
echo kept >"$dir/files/tusk.prom"
for answer in "${answers[@]}"; do
    expect 1 "answer $answer" "$tusk" metrics --timeout 60 --from "$dir/peer" --textfile "$dir/files/tusk.prom"
    [ "$(cat "$dir/files/tusk.prom")" = kept ] || fail "answer $answer: the file became $(cat "$dir/files/tusk.prom")"
    [ "$(ls "$dir/files")" = tusk.prom ] || fail "answer $answer: beside the file: $(ls "$dir/files")"
done

kill -TERM "$daemon"
wait "$daemon" || fail "the daemon exited with $?"
daemon=
[ ! -e "$dir/metrics.sock" ] || fail "the socket is still there"
[ "$failures" -eq 0 ] && echo "tusk metrics does what it says"
exit "$((failures > 0))"
