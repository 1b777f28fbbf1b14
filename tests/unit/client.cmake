# Tests of client/. What several of them share is the other end of the socket.
add_library(tusk_client_testing STATIC ${CMAKE_CURRENT_LIST_DIR}/client_peer.c)
target_link_libraries(tusk_client_testing PUBLIC tusk_flags tusk_proto PkgConfig::CMOCKA
  PRIVATE Threads::Threads)

foreach(test client_connect_test client_append_test client_read_test client_hostile_test
             client_list_test client_producer_test client_consumer_test client_unchecked_test)
  tusk_unit_test(${test} SOURCES ${test}.c
    LIBRARIES tusk_client_testing tusk_client Threads::Threads)
endforeach()

foreach(test client_mapped_test client_place_test)
  tusk_unit_test(${test} SOURCES ${test}.c place_fixture.c
    LIBRARIES tusk_client_testing tusk_client Threads::Threads)
endforeach()

# tusk.h and proto/status.h spell the same list; no file can include both.
tusk_unit_test(client_status_test
  SOURCES client_status_test.c client_status_wire.c LIBRARIES tusk_client)

# The parts of the command line that are worth testing by themselves.
tusk_unit_test(client_cli_test
  SOURCES client_cli_test.c ../../client/cli_parse.c ../../client/cli_split.c
  LIBRARIES tusk_proto)
tusk_unit_test(client_shell_test
  SOURCES client_shell_test.c ../../client/shell_history.c ../../client/shell_words.c
  LIBRARIES tusk_flags)
