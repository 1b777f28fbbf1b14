tusk_unit_test(spin_test SOURCES spin_test.c LIBRARIES tusk_server)
tusk_unit_test(http_test SOURCES http_test.c LIBRARIES tusk_server)
tusk_unit_test(metrics_table_test SOURCES metrics_table_test.c LIBRARIES tusk_server)
target_compile_definitions(metrics_table_test PRIVATE
  METRICS_MANUAL_PATH="${CMAKE_CURRENT_LIST_DIR}/../../server/tusk-metrics.7.scd")
