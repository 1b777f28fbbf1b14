# The offline tools, on simulated disks.
add_library(tusk_offline_fixture STATIC ${PROJECT_SOURCE_DIR}/tests/support/offline_fixture.c)
target_link_libraries(tusk_offline_fixture PUBLIC tusk_flags tusk_offline tusk_engine_fixture)
foreach(test offline_blocks_test offline_dump_test offline_fault_test offline_look_test offline_salvage_test offline_verify_test)
  tusk_unit_test(${test} SOURCES ${test}.c LIBRARIES tusk_offline_fixture)
endforeach()
