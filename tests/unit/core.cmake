# The log engine.
foreach(test io_test io_submit_test io_fault_test)
  tusk_unit_test(${test} SOURCES ${test}.c io_fixture.c LIBRARIES tusk_core)
endforeach()
