# Options of the build, and peaknet_flags: what every target of this repository is compiled and linked with. Third-party
# headers come in through imported targets and are system headers.
include_guard(GLOBAL)
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckPIESupported)

# In CI alone: another compiler has other warnings, and nobody who installs this is to be held up by them.
set(peaknet_in_ci OFF)
if(DEFINED ENV{CI})
  set(peaknet_in_ci ON)
endif()
option(PEAKNET_WERROR "Compiler warnings in our own code are errors (by itself where CI is set)" ${peaknet_in_ci})
option(PEAKNET_TESTS "Build the tests" ON)
option(PEAKNET_BENCH "Build the benchmarks" ON)
set(PEAKNET_SANITIZER "" CACHE STRING "Sanitizers of the whole build: empty, 'address,undefined' or 'thread'")
set(PEAKNET_TORCH ON CACHE STRING "LibTorch: ON (found by itself), OFF (built-in models only) or the folder of one >= 2.9")
set(PEAKNET_CUDA AUTO CACHE STRING "CUDA: AUTO (on when nvcc >= 12.6 is on PATH or in CUDACXX), ON or OFF")
get_filename_component(peaknet_beside ${PROJECT_SOURCE_DIR}/../shared/data ABSOLUTE)
set(PEAKNET_SHARED_DATA "${peaknet_beside}" CACHE PATH
  "Optional images and messages for tests, which have no licence to be in the repository (docs/developer.md)")
set_property(CACHE PEAKNET_SANITIZER PROPERTY STRINGS "" "address,undefined" "thread")
set_property(CACHE PEAKNET_CUDA PROPERTY STRINGS AUTO ON OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES C CXX)

# Programs where people look for them, test executables out of their way.
include(GNUInstallDirs)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR})
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR})

# What peaknet_flags gives to a target; PeaknetCuda adds what nvcc gets.
set(PEAKNET_COMPILE_OPTIONS)
set(PEAKNET_COMPILE_DEFINITIONS)
set(PEAKNET_LINK_OPTIONS)

# Both spellings (-Wall ...) go to C and C++ alone: nvcc has its own.
macro(peaknet_compile_options)
  foreach(flag IN ITEMS ${ARGN})
    list(APPEND PEAKNET_COMPILE_OPTIONS $<$<COMPILE_LANGUAGE:C,CXX>:${flag}>)
  endforeach()
endmacro()

# Flags which not every compiler knows: probed once, left out in silence where absent (clang has no -Wtrampolines).
macro(peaknet_compile_options_if_known)
  foreach(probed IN ITEMS ${ARGN})
    string(MAKE_C_IDENTIFIER "PEAKNET_KNOWS${probed}" known)
    check_cxx_compiler_flag(${probed} ${known})
    if(${known})
      peaknet_compile_options(${probed})
    endif()
  endforeach()
endmacro()

# --- warnings -----------------------------------------------------------------------------------------------------------
peaknet_compile_options(-Wall -Wextra -Wformat=2 -Wconversion -Wshadow -Wimplicit-fallthrough)
peaknet_compile_options_if_known(-Wtrampolines -Wbidi-chars=any)
list(APPEND PEAKNET_COMPILE_OPTIONS $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>)
if(PEAKNET_WERROR)
  peaknet_compile_options(-Werror)
endif()

# --- hardening (release) or sanitizers, never both: FORTIFY_SOURCE hides what ASan would see ------------------------------
if(PEAKNET_SANITIZER)
  peaknet_compile_options(-fsanitize=${PEAKNET_SANITIZER} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  list(APPEND PEAKNET_LINK_OPTIONS -fsanitize=${PEAKNET_SANITIZER})
  # gcc 12 warns of fences which TSan does not model, and of values which only its own instrumentation leaves unset.
  peaknet_compile_options_if_known(-Wno-error=tsan -Wno-maybe-uninitialized)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  # Level 3 is of gcc 12 and glibc 2.35; older ones warn that they take it for 2, in every file.
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_cxx_source_compiles("#include <cstdio>\nint main() {}" PEAKNET_KNOWS_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  set(peaknet_fortify 2)
  if(PEAKNET_KNOWS_FORTIFY_3)
    set(peaknet_fortify 3)
  endif()
  peaknet_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${peaknet_fortify} -fno-strict-overflow -fno-delete-null-pointer-checks)
  peaknet_compile_options_if_known(-fstack-clash-protection -fstack-protector-strong -fcf-protection=full
                                   -ftrivial-auto-var-init=zero)
endif()
list(APPEND PEAKNET_COMPILE_DEFINITIONS $<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
list(APPEND PEAKNET_LINK_OPTIONS -Wl,-z,relro,-z,now,-z,noexecstack)

# peaknet_flags(<target>...)
# Before the target's own: those may take back what these switch on.
function(peaknet_flags)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} BEFORE PRIVATE ${PEAKNET_COMPILE_OPTIONS})
    target_compile_definitions(${target} PRIVATE ${PEAKNET_COMPILE_DEFINITIONS})
    target_link_options(${target} BEFORE PRIVATE ${PEAKNET_LINK_OPTIONS})
    set_target_properties(${target} PROPERTIES PEAKNET_FLAGS ON)
  endforeach()
endfunction()

# peaknet_check_flags(<folder>)
# No target below it was forgotten.
function(peaknet_check_flags folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(has_flags ${target} PEAKNET_FLAGS)
    if(type MATCHES "EXECUTABLE|STATIC_LIBRARY|SHARED_LIBRARY|MODULE_LIBRARY|OBJECT_LIBRARY" AND NOT has_flags)
      message(FATAL_ERROR "${target} in ${folder} has not the flags of this repository: peaknet_flags(${target})")
    endif()
  endforeach()
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(below IN LISTS folders)
    peaknet_check_flags(${below})
  endforeach()
endfunction()

# --- ccache -------------------------------------------------------------------------------------------------------------
find_program(PEAKNET_CCACHE ccache)
mark_as_advanced(PEAKNET_CCACHE)
if(PEAKNET_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the root are seen as relative, so that clones share what they compiled.
  set(peaknet_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${PEAKNET_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${peaknet_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${peaknet_launcher})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${peaknet_launcher})
endif()

# --- memory -------------------------------------------------------------------------------------------------------------
# A translation unit that includes torch takes about 2 GB; so many of them at once as there is memory for, whatever -j says.
cmake_host_system_information(RESULT peaknet_memory_mib QUERY TOTAL_PHYSICAL_MEMORY)
math(EXPR peaknet_torch_jobs "${peaknet_memory_mib} / 4096")
if(peaknet_torch_jobs LESS 1)
  set(peaknet_torch_jobs 1)
endif()
set_property(GLOBAL PROPERTY JOB_POOLS torch=${peaknet_torch_jobs})
