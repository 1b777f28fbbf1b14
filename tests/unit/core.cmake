# The log engine.
foreach(test io_test io_submit_test io_fault_test io_send_test)
  tusk_unit_test(${test} SOURCES ${test}.c io_fixture.c LIBRARIES tusk_core)
endforeach()
tusk_unit_test(io_share_test SOURCES io_share_test.c io_fixture.c LIBRARIES tusk_core tusk_sim)

# Engines on a simulated disk.
add_library(tusk_engine_fixture STATIC
  ${PROJECT_SOURCE_DIR}/tests/support/damaged_store.c
  ${PROJECT_SOURCE_DIR}/tests/support/engine_expect.c
  ${PROJECT_SOURCE_DIR}/tests/support/engine_fixture.c
  ${PROJECT_SOURCE_DIR}/tests/support/engine_fixture_log.c
  ${PROJECT_SOURCE_DIR}/tests/support/forged_journal.c
  ${PROJECT_SOURCE_DIR}/tests/support/journal_image.c
  ${PROJECT_SOURCE_DIR}/tests/support/old_batch.c
  ${PROJECT_SOURCE_DIR}/tests/support/patience.c)
target_link_libraries(tusk_engine_fixture PUBLIC tusk_flags tusk_sim PkgConfig::CMOCKA)
foreach(test
    append_test
    read_test
    read_damage_test
    read_wait_test
    request_times_test
    flusher_test
    recovery_table_test
    recovery_rows_test
    command_test
    manifest_test
    order_test
    engine_fault_test
    sync_fault_test
    engine_test
    retention_test
    ring_test
    topic_test
    stretch_test
    tail_test
    space_test
    snapshot_test
    journal_test
    journal_scan_test
    format_test
    format_page_test
    damage_test
    regression_test
    promise_test
    seal_test
    edge_test
    edge_engine_test
    edge_memory_test
    edge_recovery_test
    recovery_refusal_test
    recovery_forged_test
    recovery_memory_test
    manifest_forged_test
    recovery_redo_test
    recovery_fault_test
    recovery_loss_test
    recovery_listing_test
    cursor_test
    read_large_test
    journal_turn_test
    journal_room_test
    recovery_blocks_test
    read_race_test
    recovery_stretch_test
    recovery_device_test
    format_name_test
    bounds_test
    tail_fault_test
    io_readonly_test)
  tusk_unit_test(${test} SOURCES ${test}.c LIBRARIES tusk_engine_fixture)
endforeach()
foreach(test read_range_test read_range_damage_test quota_test)
  tusk_unit_test(${test} SOURCES ${test}.c range_fixture.c LIBRARIES tusk_engine_fixture)
endforeach()
target_link_options(read_range_damage_test PRIVATE "LINKER:--wrap=calloc")
# Memory that runs out, and memory that is gone, on demand.
target_link_options(edge_memory_test PRIVATE "LINKER:--wrap=realloc,--wrap=free")
target_link_options(recovery_memory_test PRIVATE
  "LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free")
# Results of the kernel that no disk at hand gives.
tusk_unit_test(io_results_test SOURCES io_results_test.c LIBRARIES tusk_core)
target_link_options(io_results_test PRIVATE "LINKER:--wrap=fdatasync,--wrap=pwritev,--wrap=pread")
# System calls that fail, each in turn, in front of the kernel's.
tusk_unit_test(io_call_fault_test SOURCES io_call_fault_test.c LIBRARIES tusk_core)
foreach(call open openat syscall fcntl fstat fstatat fsync fdatasync ftruncate fallocate pread preadv2 pwritev
    sync_file_range mkdirat unlinkat renameat fdopendir readdir flock mmap mincore eventfd calloc malloc pthread_create poll
    io_uring_queue_init_params io_uring_get_probe_ring io_uring_submit)
  target_link_options(io_call_fault_test PRIVATE "LINKER:--wrap=${call}")
endforeach()
