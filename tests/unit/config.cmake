tusk_unit_test(config_value_test SOURCES config_value_test.c LIBRARIES tusk_config)
tusk_unit_test(config_options_test SOURCES config_options_test.c LIBRARIES tusk_config)
target_compile_definitions(config_options_test PRIVATE
  CONFIG_SAMPLE_PATH="${PROJECT_SOURCE_DIR}/config/tuskd.conf"
  CONFIG_MANUAL_PATH="${PROJECT_SOURCE_DIR}/config/tuskd.conf.5.scd")
tusk_unit_test(config_file_test SOURCES config_file_test.c LIBRARIES tusk_config)
tusk_unit_test(config_access_test SOURCES config_access_test.c LIBRARIES tusk_config)
tusk_unit_test(config_load_test SOURCES config_load_test.c LIBRARIES tusk_config)
foreach(function malloc realloc strdup)
  target_link_options(config_load_test PRIVATE LINKER:--wrap=${function})
endforeach()
