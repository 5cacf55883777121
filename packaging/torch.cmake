# peaknetd-torch: a daemon that runs networks, and LibTorch in a folder of its own, where that daemon alone looks for it. It
# takes the place of the daemon in the package peaknetd, which has built-in models (a diversion, see torch_preinst).
set(torch_folder lib/peaknetd/torch)
set(doc_folder share/doc/peaknetd-torch)
set(torch ${PEAKNET_TORCH_ROOT}/lib)
set(wheels ${PEAKNET_TORCH_ROOT}/..)

# Of the wheels: what libtorch_cpu.so asks for, the CUDA runtime too (it needs no driver), which Debian does not have.
file(GLOB torch_cuda ${wheels}/nvidia/*/lib/libcudart.so.* ${wheels}/nvidia/*/lib/libcupti.so.*)
install(FILES ${torch}/libtorch_cpu.so ${torch}/libc10.so ${torch}/libgomp.so.1 ${torch_cuda}
        DESTINATION ${torch_folder} COMPONENT peaknetd-torch)
install(CODE "execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${torch_folder}/libtorch_cpu.so
              \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${torch_folder}/libc10.so COMMAND_ERROR_IS_FATAL ANY)" COMPONENT peaknetd-torch)
set_target_properties(peaknetd PROPERTIES INSTALL_RPATH "$ORIGIN/../${torch_folder}" INSTALL_RPATH_USE_LINK_PATH OFF
                                          BUILD_WITH_INSTALL_RPATH OFF)
install(TARGETS peaknetd RUNTIME DESTINATION bin COMPONENT peaknetd-torch)
install(TARGETS peaknet_torch_name LIBRARY DESTINATION ${torch_folder} COMPONENT peaknetd-torch)

# The recipes, and the network that works without training.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models DESTINATION share/peaknetd COMPONENT peaknetd-torch PATTERN __pycache__ EXCLUDE)

file(READ ${PROJECT_SOURCE_DIR}/LICENSE PEAKNET_LICENSE_TEXT)
string(REGEX REPLACE "\n\n+" "\n.\n" PEAKNET_LICENSE_TEXT "${PEAKNET_LICENSE_TEXT}")  # the form of Debian's copyright files
string(REGEX REPLACE "\n(.)" "\n \\1" PEAKNET_LICENSE_TEXT " ${PEAKNET_LICENSE_TEXT}")
configure_file(torch_copyright.in ${CMAKE_CURRENT_BINARY_DIR}/copyright @ONLY)
file(GLOB licences RELATIVE ${wheels} ${wheels}/*.dist-info/licenses/*)
foreach(licence IN LISTS licences)
  string(REPLACE ".dist-info/licenses/" "-" name ${licence})
  install(FILES ${wheels}/${licence} DESTINATION ${doc_folder}/licenses RENAME ${name} COMPONENT peaknetd-torch)
endforeach()

foreach(script IN ITEMS preinst postrm)
  configure_file(torch_${script} ${CMAKE_CURRENT_BINARY_DIR}/torch/${script} COPYONLY)
endforeach()
peaknet_package(peaknetd-torch SUMMARY "LibTorch ${PEAKNET_TORCH_VERSION} and the daemon that runs networks with it"
                DEPENDS "peaknetd (= ${PROJECT_VERSION})" COPYRIGHT ${CMAKE_CURRENT_BINARY_DIR}/copyright
                SCRIPTS ${CMAKE_CURRENT_BINARY_DIR}/torch/preinst ${CMAKE_CURRENT_BINARY_DIR}/torch/postrm)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${torch} ${wheels}/nvidia/cu13/lib ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)  # 0.36 GB of libraries become 0.1 GB in 40 s
