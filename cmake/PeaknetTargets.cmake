# How a folder of this repository declares what it builds. See the head of each function.
include_guard(GLOBAL)
include(GoogleTest)

# Common to every target: its flags (peaknet_flags), includes relative to the root of the repository; what includes torch is
# compiled a few at a time (each takes about 2 GB).
function(peaknet_common_ name)
  peaknet_flags(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if("Peaknet::torch" IN_LIST ARGN)
    set_target_properties(${name} PROPERTIES JOB_POOL_COMPILE torch JOB_POOL_LINK torch)
  endif()
endfunction()

# peaknet_library(<name> [SOURCES file...] [LIBS target...] [PRIVATE_LIBS target...])
# A static library; without SOURCES a header-only one. LIBS are what its headers show (and are passed on), PRIVATE_LIBS what
# only its .cpp files include: Peaknet::torch belongs there.
function(peaknet_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS;PRIVATE_LIBS")
  peaknet_no_rest_(peaknet_library ${name} "${arg_UNPARSED_ARGUMENTS}")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${arg_LIBS} PRIVATE ${arg_PRIVATE_LIBS})
    peaknet_common_(${name} ${arg_LIBS} ${arg_PRIVATE_LIBS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${arg_LIBS} ${arg_PRIVATE_LIBS})
  endif()
endfunction()

# Where programs lie that another program starts, and no person, seen from the folder of programs. A build tree is laid out
# as an installation is.
file(RELATIVE_PATH PEAKNET_LIBEXEC_FROM_BIN ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBEXECDIR}/peaknet)

# peaknet_program(<name> SOURCES file... [LIBS target...] [PART_OF program])
# A program in build/<preset>/bin, installed to bin. It runs from both places without LD_LIBRARY_PATH.
# PART_OF: one that `program` starts. It lies in PEAKNET_LIBEXEC_FROM_BIN, is in that program's package and built with it.
function(peaknet_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PART_OF" "SOURCES;LIBS")
  peaknet_no_rest_(peaknet_program ${name} "${arg_UNPARSED_ARGUMENTS}")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  peaknet_common_(${name} ${arg_LIBS})
  set(folder ${CMAKE_INSTALL_BINDIR})
  set(component ${name})  # its package
  if(arg_PART_OF)
    set(folder ${CMAKE_INSTALL_LIBEXECDIR}/peaknet)
    set(component ${arg_PART_OF})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${PEAKNET_LIBEXEC_FROM_BIN})
    add_dependencies(${arg_PART_OF} ${name})
  endif()
  # The same RPATH in both places: nothing to rewrite at install, and bin and lib lie alike in both.
  file(RELATIVE_PATH lib_from_here ${CMAKE_INSTALL_PREFIX}/${folder} ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/${lib_from_here}"
                                           INSTALL_RPATH_USE_LINK_PATH ON BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS ${name} RUNTIME DESTINATION ${folder} COMPONENT ${component})
endfunction()

# peaknet_documents(<program> <section> [MANUAL word] [COMPLETION word])
# The manual page of a program and its completion scripts, printed by itself (base/command_line.hpp), installed with it. The
# words are those that it is asked with, --manual and --completion if they are not given.
function(peaknet_documents program section)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "MANUAL;COMPLETION" "")
  peaknet_no_rest_(peaknet_documents ${program} "${arg_UNPARSED_ARGUMENTS}")
  if(NOT arg_MANUAL)
    set(arg_MANUAL --manual)
    set(arg_COMPLETION --completion)
  endif()
  set(page ${CMAKE_CURRENT_BINARY_DIR}/${program}.${section})
  set(bash ${CMAKE_CURRENT_BINARY_DIR}/completion/${program})  # bash looks for the name of the program
  set(zsh ${CMAKE_CURRENT_BINARY_DIR}/completion/_${program})
  set(fish ${CMAKE_CURRENT_BINARY_DIR}/completion/${program}.fish)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/completion)
  add_custom_command(OUTPUT ${page} ${bash} ${zsh} ${fish}
    COMMAND ${program} ${arg_MANUAL} > ${page}
    COMMAND ${program} ${arg_COMPLETION} bash > ${bash}
    COMMAND ${program} ${arg_COMPLETION} zsh > ${zsh}
    COMMAND ${program} ${arg_COMPLETION} fish > ${fish}
    DEPENDS ${program} VERBATIM)
  add_custom_target(${program}_documents ALL DEPENDS ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${program})
  install(FILES ${bash} DESTINATION share/bash-completion/completions COMPONENT ${program})
  install(FILES ${zsh} DESTINATION share/zsh/vendor-completions COMPONENT ${program})
  install(FILES ${fish} DESTINATION share/fish/vendor_completions.d COMPONENT ${program})
endfunction()

# peaknet_test(NAME <name> LABEL unit|integration|gpu|soak SOURCES file... [LIBS target...] [TIMEOUT seconds] [SERIAL]
#              [ONE_THREAD] [PROGRAMS target...])
# A GoogleTest executable (main, gtest and gmock are linked in) in build/<preset>/tests. ctest runs each TEST as its own test
# <name>.<Suite>.<Test>, in its own process; GTEST_SKIP is shown as skipped. TIMEOUT is for one TEST (unit 60, integration
# 300, others 600). SERIAL: nothing else runs beside it, for tests that measure time. ONE_THREAD: neither test nor what it
# tests starts a thread, so ThreadSanitizer has nothing to see and is spared it. PROGRAMS: built before the test is.
# In the environment: PEAKNET_BIN_DIR (the programs), PEAKNET_SOURCE_DIR, and PEAKNET_SHARED_DATA where that folder exists, and
# PEAKNET_HDF5_PLUGINS and PEAKNET_NEXUS_JUDGES where scripts/setup has fetched them.
function(peaknet_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL;ONE_THREAD" "NAME;LABEL;TIMEOUT" "SOURCES;LIBS;PROGRAMS")
  peaknet_no_rest_(peaknet_test "${arg_NAME}" "${arg_UNPARSED_ARGUMENTS}")
  if(NOT PEAKNET_TESTS OR (arg_ONE_THREAD AND PEAKNET_SANITIZER STREQUAL "thread"))
    return()
  endif()
  peaknet_test_properties_(properties "${arg_NAME}" "${arg_LABEL}" "${arg_TIMEOUT}" "${arg_SERIAL}")
  peaknet_test_executable_(${arg_NAME} "${arg_SOURCES}" "${arg_LIBS}")
  if(PEAKNET_TEST_EMULATOR)
    set_target_properties(${arg_NAME} PROPERTIES CROSSCOMPILING_EMULATOR "${PEAKNET_TEST_EMULATOR}")
  endif()
  if(arg_PROGRAMS)
    add_dependencies(${arg_NAME} ${arg_PROGRAMS})
  endif()
  gtest_discover_tests(${arg_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX "${arg_NAME}."
                       WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests PROPERTIES ${properties})

  # gtest_discover_tests cannot pass a property that is a list; the names it found are known when ctest reads its files.
  set(setter ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_environment.cmake)
  file(CONFIGURE OUTPUT ${setter} @ONLY CONTENT [=[
if(@arg_NAME@_TESTS)
  set_tests_properties(${@arg_NAME@_TESTS} PROPERTIES ENVIRONMENT [==[@PEAKNET_TEST_ENVIRONMENT@]==])
endif()
]=])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${setter})
endfunction()

# peaknet_command_test(NAME <name> LABEL ... COMMAND command... [TIMEOUT seconds] [SERIAL])
# A test that is a command of its own (a script); the same labels, environment and time-outs. Exit code 77 means skipped.
function(peaknet_command_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "NAME;LABEL;TIMEOUT" "COMMAND")
  peaknet_no_rest_(peaknet_command_test "${arg_NAME}" "${arg_UNPARSED_ARGUMENTS}")
  if(NOT PEAKNET_TESTS)
    return()
  endif()
  peaknet_test_properties_(properties "${arg_NAME}" "${arg_LABEL}" "${arg_TIMEOUT}" "${arg_SERIAL}")
  add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND} WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  set_tests_properties(${arg_NAME} PROPERTIES ${properties} SKIP_RETURN_CODE 77
                       ENVIRONMENT "${PEAKNET_TEST_ENVIRONMENT}")
endfunction()

# peaknet_gpusim_test(NAME <name> SOURCES file... [LIBS target...] [TIMEOUT seconds] [ENVIRONMENT variable=value...] [SOAK])
# A test that runs on the simulated CUDA runtime of tests/gpusim, label gpusim (SOAK: soak). Left out without nvcc.
function(peaknet_gpusim_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SOAK" "NAME;TIMEOUT" "SOURCES;LIBS;ENVIRONMENT")
  peaknet_no_rest_(peaknet_gpusim_test "${arg_NAME}" "${arg_UNPARSED_ARGUMENTS}")
  if(NOT PEAKNET_TESTS OR NOT PEAKNET_WITH_CUDA)
    return()
  endif()
  set(label gpusim)
  if(arg_SOAK)
    set(label soak)
  endif()
  peaknet_test_executable_(${arg_NAME} "${arg_SOURCES}" "${arg_LIBS}")
  peaknet_test_properties_(properties "${arg_NAME}" ${label} "${arg_TIMEOUT}" "")
  peaknet_on_gpusim_(${arg_NAME} ${arg_NAME}. "${properties}" "${arg_ENVIRONMENT}")
endfunction()

# peaknet_also_on_gpusim(<test> [FILTER pattern] [TIMEOUT seconds] [ENVIRONMENT variable=value...])
# The tests of another executable once more, on the simulated CUDA runtime, as on_gpusim.<test>.
function(peaknet_also_on_gpusim test)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FILTER;TIMEOUT" "ENVIRONMENT")
  peaknet_no_rest_(peaknet_also_on_gpusim "${test}" "${arg_UNPARSED_ARGUMENTS}")
  if(NOT PEAKNET_TESTS OR NOT PEAKNET_WITH_CUDA)
    return()
  endif()
  peaknet_test_properties_(properties "on_gpusim.${test}" gpusim "${arg_TIMEOUT}" "")
  set(filter)
  if(arg_FILTER)
    set(filter TEST_FILTER "${arg_FILTER}")
  endif()
  peaknet_on_gpusim_(${test} on_gpusim.${test}. "${properties}" "${arg_ENVIRONMENT}" ${filter})
endfunction()

# --- inside -------------------------------------------------------------------------------------------------------------
function(peaknet_no_rest_ function name rest)
  if(rest)
    message(FATAL_ERROR "${function}(${name}): unknown arguments: ${rest}")
  endif()
endfunction()

# A GoogleTest executable in build/<preset>/tests.
function(peaknet_test_executable_ name sources libs)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${libs} GTest::gmock_main GTest::gmock GTest::gtest)
  peaknet_common_(${name} ${libs})
  # A third of the time of such a build. What the tests test is another target and keeps every check; in their own code
  # AddressSanitizer sees what these four would.
  if(PEAKNET_SANITIZER MATCHES "undefined")
    target_compile_options(${name} PRIVATE -fno-sanitize=null,alignment,vptr,object-size)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endfunction()

# What a process needs to run on the simulated CUDA runtime. A later entry of a variable replaces an earlier one.
set(PEAKNET_GPUSIM_ENVIRONMENT "LD_PRELOAD=${PROJECT_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR}/libgpusim.so"
    "GPUSIM_KERNELS=${PROJECT_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR}/libgpusim_kernels.so")

# The tests of an executable under the simulated runtime; ARGN goes to gtest_discover_tests.
function(peaknet_on_gpusim_ target prefix properties environment)
  add_dependencies(${target} gpusim gpusim_kernels)
  string(MAKE_C_IDENTIFIER "${prefix}tests" list)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX "${prefix}" TEST_LIST ${list}
                       WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests PROPERTIES ${properties} ${ARGN})
  set(variables ${PEAKNET_TEST_ENVIRONMENT} ${PEAKNET_GPUSIM_ENVIRONMENT} ${environment})
  set(setter ${CMAKE_CURRENT_BINARY_DIR}/${list}_environment.cmake)
  file(CONFIGURE OUTPUT ${setter} @ONLY CONTENT [=[
if(@list@)
  set_tests_properties(${@list@} PROPERTIES ENVIRONMENT [==[@variables@]==])
endif()
]=])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${setter})
endfunction()

function(peaknet_test_properties_ result name label timeout serial)
  if(label STREQUAL "unit")
    set(default_timeout 60)
  elseif(label STREQUAL "integration")
    set(default_timeout 300)
  elseif(label STREQUAL "gpusim")
    set(default_timeout 180)
  elseif(label MATCHES "^(gpu|soak)$")
    set(default_timeout 600)
  else()
    message(FATAL_ERROR "peaknet_test(${name}): LABEL must be unit, integration, gpu, gpusim or soak, not '${label}'")
  endif()
  if(NOT timeout)
    set(timeout ${default_timeout})
  endif()
  if(PEAKNET_SANITIZER)
    math(EXPR timeout "${timeout} * 3")
  endif()
  set(properties LABELS ${label} TIMEOUT ${timeout})
  if(serial)
    list(APPEND properties RUN_SERIAL ON)
  endif()
  set(${result} "${properties}" PARENT_SCOPE)
endfunction()

# What every test finds in its environment.
set(PEAKNET_TEST_ENVIRONMENT "PEAKNET_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}" "PEAKNET_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
if(IS_DIRECTORY "${PEAKNET_SHARED_DATA}")
  list(APPEND PEAKNET_TEST_ENVIRONMENT "PEAKNET_SHARED_DATA=${PEAKNET_SHARED_DATA}")
endif()
if(DEFINED ENV{XDG_CACHE_HOME})
  set(peaknet_cache $ENV{XDG_CACHE_HOME}/peaknetd)
else()
  set(peaknet_cache $ENV{HOME}/.cache/peaknetd)
endif()
if(IS_DIRECTORY ${peaknet_cache}/hdf5-plugins)
  list(APPEND PEAKNET_TEST_ENVIRONMENT "PEAKNET_HDF5_PLUGINS=${peaknet_cache}/hdf5-plugins")
endif()
if(IS_DIRECTORY ${peaknet_cache}/nexus-judges)
  list(APPEND PEAKNET_TEST_ENVIRONMENT "PEAKNET_NEXUS_JUDGES=${peaknet_cache}/nexus-judges")
endif()
if(IS_DIRECTORY ${peaknet_cache}/ray)
  list(APPEND PEAKNET_TEST_ENVIRONMENT "PEAKNET_RAY=${peaknet_cache}/ray")
endif()
if(IS_DIRECTORY ${peaknet_cache}/epics-packages)
  list(APPEND PEAKNET_TEST_ENVIRONMENT "PEAKNET_EPICS_PACKAGES=${peaknet_cache}/epics-packages")
endif()
if(PEAKNET_SANITIZER MATCHES "address")
  list(APPEND PEAKNET_TEST_ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1"
                                       "UBSAN_OPTIONS=print_stacktrace=1"
                                       "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/lsan.supp:print_suppressions=0")
elseif(PEAKNET_SANITIZER STREQUAL "thread")
  list(APPEND PEAKNET_TEST_ENVIRONMENT
       "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
endif()

# TSan of gcc 12 cannot map its shadow where the kernel spreads addresses over more than 28 bits; setarch -R holds them still
# for the test and for the programs it starts.
set(PEAKNET_TEST_EMULATOR "")
if(PEAKNET_SANITIZER STREQUAL "thread" AND EXISTS /proc/sys/vm/mmap_rnd_bits)
  file(READ /proc/sys/vm/mmap_rnd_bits peaknet_rnd_bits)
  string(STRIP "${peaknet_rnd_bits}" peaknet_rnd_bits)
  find_program(PEAKNET_SETARCH setarch)
  mark_as_advanced(PEAKNET_SETARCH)
  if(peaknet_rnd_bits GREATER 28 AND PEAKNET_SETARCH)
    set(PEAKNET_TEST_EMULATOR ${PEAKNET_SETARCH} ${CMAKE_SYSTEM_PROCESSOR} -R)
  endif()
endif()
