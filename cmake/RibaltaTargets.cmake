# Short names for the six kinds of target, so that each folder's CMakeLists.txt is a list of its files.

# ribalta_library(NAME SOURCES … LIBS …): a static library; headers are included from the root of the tree.
function(ribalta_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LIBS} Threads::Threads)
endfunction()

# ribalta_program(NAME SOURCES … LIBS …): an executable in build/PRESET/bin.
function(ribalta_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} Threads::Threads)
endfunction()

# ribalta_test(NAME SOURCES … LIBS … [LABELS …] [TIMEOUT s]): one doctest program for a folder, label `unit` unless told.
function(ribalta_test name)
  if(NOT RIBALTA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  find_package(doctest REQUIRED)
  add_executable(${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/core/testing/doctest_main.cpp)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} doctest::doctest Threads::Threads)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("integration" IN_LIST ARG_LABELS)
    set_tests_properties(${name} PROPERTIES PROCESSORS 2) # real programs in real time: alone on a machine of two cores
  endif()
endfunction()

# ribalta_fuzz(NAME SOURCES … LIBS … CORPUS dir): the same source twice. NAME replays the corpus as a unit test with a
# plain main, so that it does not rot; NAME_run (preset asan only) is the libFuzzer program.
function(ribalta_fuzz name)
  if(NOT RIBALTA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/core/testing/fuzz_replay_main.cpp)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} Threads::Threads)
  add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
  set_tests_properties(${name} PROPERTIES LABELS "unit;fuzz-replay" TIMEOUT 120)
  if(RIBALTA_SANITIZE MATCHES "address")
    # What is fuzzed tells the fuzzer which paths it took; without that it would only guess.
    foreach(lib ${ARG_LIBS})
      get_target_property(instrumented ${lib} RIBALTA_FUZZED)
      if(lib MATCHES "^ribalta_" AND NOT instrumented)
        target_compile_options(${lib} PRIVATE -fsanitize=fuzzer-no-link)
        set_target_properties(${lib} PROPERTIES RIBALTA_FUZZED ON)
      endif()
    endforeach()
    add_executable(${name}_run ${ARG_SOURCES})
    target_include_directories(${name}_run PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(${name}_run PRIVATE -fsanitize=fuzzer)
    target_link_options(${name}_run PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name}_run PRIVATE ${ARG_LIBS} Threads::Threads)
    # A short run on the kept corpus: new inputs go to the build folder, a crash fails the test and leaves its input.
    # A fixed seed: the same commit is searched the same way; longer searches with other seeds are made by hand.
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/${name})
    add_test(NAME ${name}_run COMMAND ${name}_run -max_total_time=10 -seed=1 -rss_limit_mb=2048 -print_final_stats=1
             -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz/${name}- ${CMAKE_BINARY_DIR}/fuzz/${name}
             ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
    set_tests_properties(${name}_run PROPERTIES LABELS "fuzz" TIMEOUT 60)
  endif()
endfunction()

# ribalta_bench(NAME SOURCES … LIBS …): a Google Benchmark program in build/PRESET/bin, run by scripts/bench.
function(ribalta_bench name)
  if(NOT RIBALTA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  find_package(benchmark REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} benchmark::benchmark_main Threads::Threads)
endfunction()

# ribalta_tool(NAME SOURCES … LIBS …): a program for benches, not for operators: a release build makes it when it is named.
function(ribalta_tool name)
  ribalta_program(${name} ${ARGN})
  if(NOT RIBALTA_TESTS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()
