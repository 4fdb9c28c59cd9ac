# intact_room(NAME DEPS rooms...) declares a room: the folder src/intact/NAME and the rooms it may include.
# intact_build_rooms(), once, after all declarations, turns rooms into targets:
#
#   *.cc                  library intact_NAME
#   *_test.cc             test program intact_NAME_test, so that no test is forgotten
#   *_bench.cc            program intact_NAME_bench (Google Benchmark; not part of the default build)
#   *_fuzz.cc             libFuzzer target fuzz_STEM under INTACT_FUZZ; in other builds the same function
#                         replays tests/fuzz/corpus/STEM as a test
#   room.cmake            if present, included with `name` and `dir` set: what the room adds, such as libraries;
#                         its target property INTACT_TEST_LIBS names libraries for tests and fuzz targets only
#
# INTACT_ROOMS selects rooms; the rooms that they depend on are built too, without their tests, and so are
# those of INTACT_ROOM_LIBRARIES.
function(intact_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS" ${ARGN})
  set_property(GLOBAL APPEND PROPERTY INTACT_ALL_ROOMS ${name})
  set_property(GLOBAL PROPERTY INTACT_DEPS_${name} "${ROOM_DEPS}")
endfunction()

function(intact_build_rooms)
  get_property(all GLOBAL PROPERTY INTACT_ALL_ROOMS)
  set(selected ${INTACT_ROOMS})
  if(NOT selected)
    set(selected ${all})
  endif()
  # Rooms are declared after what they depend on, so one walk from the top closes the selection.
  set(needed ${selected} ${INTACT_ROOM_LIBRARIES})
  set(top_down ${all})
  list(REVERSE top_down)
  foreach(room IN LISTS top_down)
    if(room IN_LIST needed)
      get_property(deps GLOBAL PROPERTY INTACT_DEPS_${room})
      list(APPEND needed ${deps})
    endif()
  endforeach()
  foreach(room IN LISTS all)
    if(room IN_LIST needed)
      intact_build_room(${room})
      if(room IN_LIST selected)
        intact_build_room_programs(${room})
      endif()
    endif()
  endforeach()
endfunction()

# The library of one room.
function(intact_build_room name)
  set(dir "${PROJECT_SOURCE_DIR}/src/intact/${name}")
  get_property(deps GLOBAL PROPERTY INTACT_DEPS_${name})
  list(TRANSFORM deps PREPEND intact_)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${dir}/*.cc")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cc$")
  if(NOT sources)
    add_library(intact_${name} INTERFACE)
    target_link_libraries(intact_${name} INTERFACE intact_options ${deps})
    return()
  endif()
  intact_isa_sources(sources ${sources})
  add_library(intact_${name} STATIC ${sources})
  target_link_libraries(intact_${name} PUBLIC intact_options ${deps})
  # Apart from the archives that are installed, one of which is called libintact_runtime.a too.
  set_target_properties(intact_${name} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/rooms")
  if(EXISTS "${dir}/room.cmake")
    include("${dir}/room.cmake")
  endif()
endfunction()

# Its tests, benchmarks and fuzz targets.
function(intact_build_room_programs name)
  set(dir "${PROJECT_SOURCE_DIR}/src/intact/${name}")
  get_target_property(extra intact_${name} INTACT_TEST_LIBS)
  if(NOT extra)
    set(extra "")
  endif()
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS "${dir}/*_test.cc")
  file(GLOB_RECURSE benches CONFIGURE_DEPENDS "${dir}/*_bench.cc")
  file(GLOB_RECURSE fuzzers CONFIGURE_DEPENDS "${dir}/*_fuzz.cc")

  if(INTACT_BUILD_TESTS AND tests)
    intact_isa_sources(tests ${tests})
    add_executable(intact_${name}_test ${tests})
    target_link_libraries(intact_${name}_test PRIVATE
      intact_${name} ${extra} GTest::gtest GTest::gmock GTest::gtest_main)
    if(EXISTS "${PROJECT_SOURCE_DIR}/tests/golden/${name}")
      # Not for every room: an absolute path among the options keeps ccache from sharing between trees.
      target_compile_definitions(intact_${name}_test PRIVATE INTACT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    endif()
    if(name STREQUAL "kernels")
      set(label kernel)
    else()
      set(label unit)
    endif()
    gtest_discover_tests(intact_${name}_test TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" PROPERTIES LABELS ${label})
  endif()

  if(benches AND INTACT_BENCHMARK)
    intact_isa_sources(benches ${benches})
    add_executable(intact_${name}_bench EXCLUDE_FROM_ALL ${benches})
    target_link_libraries(intact_${name}_bench PRIVATE intact_${name} benchmark::benchmark_main)
    add_dependencies(intact_benches intact_${name}_bench)
  endif()

  foreach(fuzzer IN LISTS fuzzers)
    get_filename_component(stem "${fuzzer}" NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" stem "${stem}")
    set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${stem}")
    if(INTACT_FUZZ)
      add_executable(fuzz_${stem} "${fuzzer}")
      target_link_options(fuzz_${stem} PRIVATE -fsanitize=fuzzer)
      target_link_libraries(fuzz_${stem} PRIVATE intact_${name} ${extra})
    elseif(INTACT_BUILD_TESTS)
      add_executable(replay_${stem} "${fuzzer}" "${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cc")
      target_link_libraries(replay_${stem} PRIVATE intact_${name} ${extra})
      add_test(NAME fuzz.replay_${stem} COMMAND replay_${stem} "${corpus}")
      set_tests_properties(fuzz.replay_${stem} PROPERTIES LABELS unit)
    endif()
  endforeach()
endfunction()
