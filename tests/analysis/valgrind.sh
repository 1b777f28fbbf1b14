#!/usr/bin/env bash
# Memcheck over some of the unit tests: no error, nothing lost. The last line is "N passed, N failed".
#
#   valgrind.sh BUILD [PROGRAM...]
#
# BUILD is one without sanitizers. What runs here is what works on bytes from outside and what owns memory; sanitizers run
# everything, but do not see bytes that were never written, which memcheck does.
set -u
build=$1
shift
programs=("$@")
[ ${#programs[@]} -gt 0 ] || programs=(
    batch_test batch_verify_test frame_test message_test message_layout_test message_refusal_test
    protocol_examples_test format_test format_name_test format_page_test journal_scan_test ring_test
    topic_test tail_test space_test stretch_test cursor_test append_test read_test manifest_test
    manifest_forged_test recovery_rows_test recovery_forged_test recovery_stretch_test seal_test
    offline_verify_test offline_dump_test offline_salvage_test
    config_options_test config_value_test config_file_test config_load_test
    status_test read_damage_test client_cli_test client_connect_test client_append_test
    client_read_test client_list_test client_status_test client_producer_test)
passed=0
failed=0
for program in "${programs[@]}"; do
    log=$(mktemp)
    # Lost memory is an error like any other; what is still pointed at when a test ends is not.
    if valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,indirect,possible "$build/tests/unit/$program" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "memcheck $program: no error"
    else
        failed=$((failed + 1))
        cat "$log"
        echo "memcheck $program: FAILED"
    fi
    rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
