# A build that holds every planted bug of museum/, chosen when a process starts: TUSK_PLANTED=name. With none
# chosen it does what the ordinary build does. It is a test and nothing else: it says so in its version, and it cannot be
# installed. The tree's own sources have no part in this; copies of those that patches touch are written into the build folder.
find_package(Python3 COMPONENTS Interpreter REQUIRED)

set(PLANTED_DIR ${PROJECT_BINARY_DIR}/planted_sources)
set(PLANT ${PROJECT_SOURCE_DIR}/tests/mutation/plant.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${PLANT} write ${PLANTED_DIR} COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${PLANTED_DIR}/sources.txt PLANTED_SOURCES)
file(GLOB PLANTED_PATCHES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/mutation/museum/*.patch)
list(TRANSFORM PLANTED_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE planted_from)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${PLANT} ${PROJECT_SOURCE_DIR}/tests/mutation/c_functions.py ${PROJECT_SOURCE_DIR}/tests/mutation/patches.py
  ${PLANTED_PATCHES} ${planted_from})

add_library(tusk_planted STATIC ${PROJECT_SOURCE_DIR}/tests/mutation/planted.c)
target_include_directories(tusk_planted PRIVATE ${PLANTED_DIR})
target_compile_definitions(tusk_planted PRIVATE TUSK_PLANTED_BUGS)
# Everything of ours links the flags: so everything can ask which bug is awake.
target_compile_definitions(tusk_flags INTERFACE TUSK_PLANTED_BUGS)
target_link_libraries(tusk_flags INTERFACE tusk_planted)

install(CODE "message(FATAL_ERROR \"planted bugs are compiled in (TUSK_PLANTED_BUGS): this build is not for use\")"
  ALL_COMPONENTS)

# Wherever a target compiles a source that has a planted copy, let it compile that copy.
function(plant_folder folder)
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(below IN LISTS folders)
    plant_folder(${below})
  endforeach()
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(sources ${target} SOURCES)
    if(NOT sources)
      continue()
    endif()
    set(wanted)
    foreach(source IN LISTS sources)
      if(source MATCHES "^\\$<")
        list(APPEND wanted ${source})
        continue()
      endif()
      file(REAL_PATH ${source} path BASE_DIRECTORY ${folder})
      file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${path})
      if(name IN_LIST PLANTED_SOURCES)
        list(APPEND wanted ${PLANTED_DIR}/${name})
      else()
        list(APPEND wanted ${source})
      endif()
    endforeach()
    set_property(TARGET ${target} PROPERTY SOURCES ${wanted})
  endforeach()
endfunction()
cmake_language(DEFER CALL plant_folder ${PROJECT_SOURCE_DIR})
