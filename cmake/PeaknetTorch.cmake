# Target Peaknet::torch: LibTorch for the CPU (libtorch_cpu and libc10, nothing else). Afterwards PEAKNET_WITH_TORCH is ON or
# OFF and PEAKNET_TORCH_VERSION is set. find_package(Torch) is not used: the wheel's CMake files want nvcc for plain C++,
# rewrite the CUDA flags of the directory and look for every library of the full CUDA set.
#
# Where LibTorch is looked for, first match wins; what was named and does not fit is an error, never skipped:
#   1. -DPEAKNET_TORCH=FOLDER   2. PEAKNET_TORCH in the environment   3. Torch_DIR, as variable or in the environment
#   4. where this build folder found it before   5. the per-user cache that scripts/setup fills
# FOLDER has include/ and lib/ in it: the root of a LibTorch archive, or the `torch` folder of an installed wheel.
include_guard(GLOBAL)

set(PEAKNET_TORCH_OLDEST 2.9)
set(PEAKNET_WITH_TORCH OFF)
set(PEAKNET_TORCH_VERSION "")

# The cache folder's name carries the version that cmake/libtorch.txt pins; scripts/setup makes the same name.
function(peaknet_torch_cache_folder result)
  file(STRINGS ${PROJECT_SOURCE_DIR}/cmake/libtorch.txt pins REGEX "^torch==")
  string(REGEX REPLACE "^torch==([0-9.]+).*" "\\1" version "${pins}")
  if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(cache "$ENV{XDG_CACHE_HOME}")
  else()
    set(cache "$ENV{HOME}/.cache")
  endif()
  set(${result} "${cache}/peaknetd/libtorch-${version}-${CMAKE_SYSTEM_PROCESSOR}/torch" PARENT_SCOPE)
endfunction()

# Version of the LibTorch in `root` by its headers; empty if there is none.
function(peaknet_torch_version result root)
  set(version "")
  foreach(header IN ITEMS torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(NOT version AND EXISTS "${root}/include/${header}")
      file(STRINGS "${root}/include/${header}" lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
      list(TRANSFORM lines REPLACE ".* ([0-9]+).*" "\\1")
      list(JOIN lines "." version)
    endif()
  endforeach()
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

function(peaknet_find_torch result)
  set(named_by "")
  if(NOT PEAKNET_TORCH MATCHES "^(ON|TRUE|YES|1)$")
    set(named_by "-DPEAKNET_TORCH")
    set(root "${PEAKNET_TORCH}")
  elseif(NOT "$ENV{PEAKNET_TORCH}" STREQUAL "")
    set(named_by "PEAKNET_TORCH in the environment")
    set(root "$ENV{PEAKNET_TORCH}")
  elseif(Torch_DIR OR NOT "$ENV{Torch_DIR}" STREQUAL "")
    set(named_by "Torch_DIR")
    if(Torch_DIR)
      set(root "${Torch_DIR}/../../..")
    else()
      set(root "$ENV{Torch_DIR}/../../..")
    endif()
  elseif(EXISTS "${PEAKNET_TORCH_ROOT}/lib/libtorch_cpu.so")
    set(root "${PEAKNET_TORCH_ROOT}")
  else()
    peaknet_torch_cache_folder(root)
  endif()
  get_filename_component(root "${root}" ABSOLUTE)

  peaknet_torch_version(version "${root}")
  if(NOT EXISTS "${root}/lib/libtorch_cpu.so" OR NOT version)
    if(named_by)
      message(FATAL_ERROR "${named_by} names ${root}, which holds no LibTorch (lib/libtorch_cpu.so and include/torch). "
                          "Name the folder that has include and lib in it, or unset it and run scripts/setup.")
    endif()
    message(FATAL_ERROR "LibTorch was not found in ${root}. Run scripts/setup, which fetches it once per user, "
                        "or name one >= ${PEAKNET_TORCH_OLDEST} with -DPEAKNET_TORCH=FOLDER, "
                        "or build without it: -DPEAKNET_TORCH=OFF.")
  endif()
  if(version VERSION_LESS PEAKNET_TORCH_OLDEST)
    message(FATAL_ERROR "The LibTorch in ${root} is ${version}; ${PEAKNET_TORCH_OLDEST} or later is needed. "
                        "Run scripts/setup and leave PEAKNET_TORCH and Torch_DIR unset to use the one it fetches.")
  endif()
  set(${result} "${root}" PARENT_SCOPE)
endfunction()

if(NOT PEAKNET_TORCH)
  message(STATUS "LibTorch: off, built-in models only")
else()
  peaknet_find_torch(peaknet_torch_root)
  peaknet_torch_version(PEAKNET_TORCH_VERSION "${peaknet_torch_root}")
  set(PEAKNET_TORCH_ROOT "${peaknet_torch_root}" CACHE PATH "The LibTorch this build folder uses" FORCE)
  set(PEAKNET_WITH_TORCH ON)

  foreach(library IN ITEMS c10 torch_cpu)
    add_library(Peaknet::${library} SHARED IMPORTED)
    set_target_properties(Peaknet::${library} PROPERTIES IMPORTED_LOCATION ${PEAKNET_TORCH_ROOT}/lib/lib${library}.so)
  endforeach()
  add_library(Peaknet::torch INTERFACE IMPORTED)
  target_include_directories(Peaknet::torch SYSTEM INTERFACE ${PEAKNET_TORCH_ROOT}/include
                                                             ${PEAKNET_TORCH_ROOT}/include/torch/csrc/api/include)
  target_link_libraries(Peaknet::torch INTERFACE Peaknet::torch_cpu Peaknet::c10 Threads::Threads)

  # The wheel's libraries need the CUDA runtime even on the CPU and find it beside the `torch` folder by their own RPATH; the
  # linker has to be told. In a CUDA build our own code uses the same copy, not the toolkit's: hence -rpath, and first.
  file(GLOB peaknet_torch_nvidia "${PEAKNET_TORCH_ROOT}/../nvidia/*/lib")
  foreach(folder IN LISTS peaknet_torch_nvidia)
    get_filename_component(folder "${folder}" ABSOLUTE)
    target_link_options(Peaknet::torch INTERFACE "LINKER:-rpath-link,${folder}")
    if(PEAKNET_WITH_CUDA AND folder MATCHES "/cu[0-9]+/lib$")
      target_link_options(Peaknet::torch INTERFACE "LINKER:-rpath,${folder}")
    endif()
  endforeach()
  target_link_options(Peaknet::torch INTERFACE "LINKER:-rpath-link,${PEAKNET_TORCH_ROOT}/lib")

  # Streams and guards of the CUDA side (libc10_cuda needs only the CUDA runtime). libtorch_cuda itself, and the large CUDA
  # libraries behind it, are loaded when a model is put on a GPU: see model/torchscript_model.cpp.
  if(PEAKNET_WITH_CUDA AND EXISTS ${PEAKNET_TORCH_ROOT}/lib/libc10_cuda.so)
    add_library(Peaknet::c10_cuda SHARED IMPORTED)
    set_target_properties(Peaknet::c10_cuda PROPERTIES IMPORTED_LOCATION ${PEAKNET_TORCH_ROOT}/lib/libc10_cuda.so)
    target_link_libraries(Peaknet::c10_cuda INTERFACE Peaknet::c10 CUDA::cudart)
  endif()
  message(STATUS "LibTorch: ${PEAKNET_TORCH_VERSION} in ${PEAKNET_TORCH_ROOT}")
endif()
