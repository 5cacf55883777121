# Target peaknet_version: #include "peaknet_version.hpp" (see cmake/peaknet_version.hpp.in). Include it from .cpp files only:
# each commit changes it, and what includes it is compiled again.
include_guard(GLOBAL)

set(PEAKNET_GIT_COMMIT unknown)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} --no-optional-locks -C ${PROJECT_SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
                  OUTPUT_VARIABLE peaknet_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE peaknet_rc)
  if(peaknet_rc EQUAL 0)
    set(PEAKNET_GIT_COMMIT ${peaknet_commit})
  endif()
endif()

set(PEAKNET_CUDA_VERSION "")
if(PEAKNET_WITH_CUDA)
  set(PEAKNET_CUDA_VERSION ${CMAKE_CUDA_COMPILER_VERSION})
endif()
foreach(feature IN ITEMS TORCH CUDA SYSTEMD)
  if(PEAKNET_WITH_${feature})
    set(PEAKNET_WITH_${feature}_BOOL true)
  else()
    set(PEAKNET_WITH_${feature}_BOOL false)
  endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/peaknet_version.hpp.in ${PROJECT_BINARY_DIR}/generated/peaknet_version.hpp @ONLY)
add_library(peaknet_version INTERFACE)
target_include_directories(peaknet_version INTERFACE ${PROJECT_BINARY_DIR}/generated)
