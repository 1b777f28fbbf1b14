# Tests of proto/. What several of them share is one library, which the fuzz targets use, too.
add_library(tusk_proto_testing STATIC
  ${CMAKE_CURRENT_LIST_DIR}/proto_equal.c
  ${CMAKE_CURRENT_LIST_DIR}/proto_hex.c
  ${CMAKE_CURRENT_LIST_DIR}/proto_mirror.c
  ${CMAKE_CURRENT_LIST_DIR}/proto_random.c)
target_link_libraries(tusk_proto_testing PUBLIC tusk_proto)

foreach(test
    status_test
    crc32c_test
    batch_test
    batch_verify_test
    frame_test
    histogram_test
    message_test
    message_layout_test
    message_refusal_test
    protocol_examples_test)
  tusk_unit_test(${test} SOURCES ${test}.c LIBRARIES tusk_proto_testing)
endforeach()
target_compile_definitions(protocol_examples_test PRIVATE
  PROTOCOL_PATH="${CMAKE_CURRENT_LIST_DIR}/../../proto/PROTOCOL.md")
