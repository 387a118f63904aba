include_guard()

# Warnings, sanitizers and include paths that all own code shares.
add_library(backfill_options INTERFACE)
target_include_directories(backfill_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(backfill_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wswitch-enum -Wold-style-cast -Werror)
# Some libraries ask for it and some do not; the precompiled header of the tests fits only if all agree.
target_compile_options(backfill_options INTERFACE -pthread)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(backfill_options INTERFACE -Wthread-safety -Wno-gnu-statement-expression)
endif()
if(BACKFILL_SANITIZE)
  add_compile_options(-fsanitize=${BACKFILL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BACKFILL_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS BACKFILL_SANITIZED)
endif()

# What nearly every own source includes, precompiled once: a third of the time to compile a small file. The presets of lint
# do without (CMAKE_DISABLE_PRECOMPILE_HEADERS), so that a file which includes too little is found.
file(WRITE ${CMAKE_BINARY_DIR}/headers.cc "")
add_library(backfill_headers OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/headers.cc)
target_link_libraries(backfill_headers PRIVATE backfill_options)
target_precompile_headers(backfill_headers PRIVATE
  <algorithm> <chrono> <cstdint> <deque> <functional> <map> <memory> <optional> <set> <string> <string_view> <utility>
  <variant> <vector>)

# Several sources in one compilation: from cold that takes half the time, as headers are most of it. After an edit the
# neighbours are compiled as well; -DBACKFILL_UNITY=OFF is for who edits the same file all day.
option(BACKFILL_UNITY "compile the sources of a target a few at a time" ON)
function(backfill_unity name)
  if(BACKFILL_UNITY)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # What is local to a source is still local to it, but the compiler sees it included.
      target_compile_options(${name} PRIVATE -Wno-subobject-linkage)
    endif()
  endif()
endfunction()

# backfill_component(ledger SOURCES a.cc b.cc PUBLIC backfill::base PRIVATE ZLIB::ZLIB) makes backfill::ledger. HOT is for
# what records pass through: of a large unit g++ inlines less, which costs a worker a tenth of its time.
function(backfill_component name)
  cmake_parse_arguments(ARG "HOT" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(backfill_${name} STATIC ${ARG_SOURCES})
  add_library(backfill::${name} ALIAS backfill_${name})
  target_link_libraries(backfill_${name} PUBLIC ${ARG_PUBLIC} PRIVATE backfill_options ${ARG_PRIVATE})
  target_include_directories(backfill_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_precompile_headers(backfill_${name} REUSE_FROM backfill_headers)
  if(NOT (ARG_HOT AND CMAKE_BUILD_TYPE STREQUAL Release))
    backfill_unity(backfill_${name})
  endif()
endfunction()

# backfill_test(ledger_test SOURCES a_test.cc LINK backfill::ledger [LABEL integration] [TIMEOUT 120] [SERIAL] [CONTROL_PLANE]
# [WHOLE] [SLOTS 3] [ONE_THREAD])
# CONTROL_PLANE: ctest starts a real Kubernetes API first, whose kubeconfig is $BACKFILL_TEST_KUBECONFIG (tests/cluster).
# SLOTS: of the three that each core has (tests/run.sh); without, a unit test takes all, any other test one, as it mostly waits.
# WHOLE: one run of the binary for all of its tests, as unit tests have it (a start takes longer than most of them), and those
# that share what takes long to start. tests/run.sh reads from the binary's own report which of them failed.
# ONE_THREAD: nothing in it starts another, so the build with TSAN is without it.
# One binary per component: linking dominates. gtest and gmock are precompiled, once for all of them.
function(backfill_test name)
  cmake_parse_arguments(ARG "SERIAL;CONTROL_PLANE;WHOLE;ONE_THREAD" "LABEL;TIMEOUT;SLOTS" "SOURCES;LINK" ${ARGN})
  if(ARG_ONE_THREAD AND BACKFILL_SANITIZE MATCHES thread)
    return()
  endif()
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
    set(ARG_WHOLE ON)
  endif()
  if(NOT ARG_TIMEOUT AND ARG_WHOLE)
    set(ARG_TIMEOUT 600)
  elseif(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock_main rapidcheck backfill_options)
  if(TARGET backfill_known_leaks)
    target_link_libraries(${name} PRIVATE backfill_known_leaks)
  endif()
  target_precompile_headers(${name} REUSE_FROM backfill_test_headers)
  backfill_unity(${name})
  if(CMAKE_BUILD_TYPE STREQUAL Release)  # where it inlines, g++ 12 warns of its own std::string
    target_compile_options(${name} PRIVATE -Wno-array-bounds -Wno-stringop-overflow)
  endif()
  if(BACKFILL_SANITIZE MATCHES undefined)
    # In the tests' own code ASAN sees these too; instrumenting them takes a third of the compile time.
    target_compile_options(${name} PRIVATE -fno-sanitize=null,alignment,vptr,object-size,nonnull-attribute,returns-nonnull-attribute)
  endif()
  set(environment)
  set(control_plane)
  if(ARG_CONTROL_PLANE)
    set(environment BACKFILL_TEST_KUBECONFIG=${CMAKE_BINARY_DIR}/control-plane/kubeconfig)
    set(control_plane FIXTURES_REQUIRED control_plane)
  endif()
  # Before ctest has measured anything it begins with what may take long, so that none of that is left alone at the end.
  set(cost 0)
  set(slots 3)
  if(NOT ARG_LABEL STREQUAL unit)
    set(cost 10)
    set(slots 1)
  endif()
  if(ARG_SLOTS)
    set(slots ${ARG_SLOTS})
  endif()
  set(properties LABELS ${ARG_LABEL} PROCESSORS ${slots} TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${ARG_SERIAL} COST ${cost} ${control_plane})
  if(ARG_WHOLE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES ${properties})
    set_property(TEST ${name} PROPERTY ENVIRONMENT GTEST_OUTPUT=xml:${CMAKE_BINARY_DIR}/reports/${name}.xml ${environment})
  else()
    if(environment)
      list(APPEND properties ENVIRONMENT ${environment})
    endif()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
  endif()
endfunction()
