# peaknet_translated_kernels(<name> SOURCES file.cu...)
# The kernels of .cu files for the simulated devices: compiled to PTX as the product is (daemon/CMakeLists.txt), translated
# to C++ (ptx2cpp.py), and compiled to lib<name>.so, which exports gpusim_kernels (kernel_abi.hpp).
function(peaknet_translated_kernels name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  set(translator ${PROJECT_SOURCE_DIR}/tests/gpusim/ptx2cpp.py)
  set(all_ptx)
  foreach(source IN LISTS arg_SOURCES)
    get_filename_component(source ${source} ABSOLUTE)
    get_filename_component(stem ${source} NAME_WE)
    set(ptx ${CMAKE_CURRENT_BINARY_DIR}/${name}_${stem}.ptx)
    # What ptxas makes of the PTX for 8.0 and 9.0 is not judged here, so one architecture will do.
    add_custom_command(OUTPUT ${ptx}
      COMMAND ${CMAKE_CUDA_COMPILER} -std=c++17 --fmad=false -arch=compute_90 -ptx -I${PROJECT_SOURCE_DIR} -MMD -MF ${ptx}.d
              -o ${ptx} ${source}
      DEPENDS ${source} DEPFILE ${ptx}.d VERBATIM)
    list(APPEND all_ptx ${ptx})
  endforeach()
  set(translated ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  add_custom_command(OUTPUT ${translated} COMMAND ${PEAKNET_PYTHON} -B ${translator} ${translated} ${all_ptx}
                     DEPENDS ${translator} ${PROJECT_SOURCE_DIR}/tests/gpusim/ptx_instructions.py ${all_ptx} VERBATIM)
  add_library(${name} MODULE ${translated})
  peaknet_flags(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # A device rounds each operation by itself. Every instruction is checked where it is executed, so warnings of made code
  # and checks of the standard library say nothing.
  target_compile_options(${name} PRIVATE -O2 -ffp-contract=off -w)
endfunction()
