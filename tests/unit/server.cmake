tusk_unit_test(spin_test SOURCES spin_test.c LIBRARIES tusk_server)
