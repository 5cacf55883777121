# The packages of programs and of the producers' library.
# What systemd has to be told is the same for all that bring units.
foreach(script IN ITEMS postinst prerm postrm)
  configure_file(${script} ${CMAKE_CURRENT_BINARY_DIR}/${script} COPYONLY)
endforeach()
set(scripts ${CMAKE_CURRENT_BINARY_DIR}/postinst ${CMAKE_CURRENT_BINARY_DIR}/prerm ${CMAKE_CURRENT_BINARY_DIR}/postrm)
peaknet_package(peaknetd SUMMARY "Bragg peak finding between an X-ray detector and CXI files: the daemon" DEPENDS "peaknetctl, systemd (>= 252) | systemd-standalone-sysusers, systemd (>= 252) | systemd-standalone-tmpfiles" SCRIPTS ${scripts})
peaknet_package(peaknetctl SUMMARY "Control tool of peaknetd")
peaknet_package(peaknet-writer SUMMARY "CXI writer of peaknetd" DEPENDS "peaknetd (= ${PROJECT_VERSION})" SCRIPTS ${scripts})
peaknet_package(peaknet-live SUMMARY "Gives hits of peaknetd to CrystFEL while a run goes on" DEPENDS "peaknetd (= ${PROJECT_VERSION})" SCRIPTS ${scripts})
peaknet_package(peaknet-feed SUMMARY "Brings recorded, simulated and streamed images to peaknetd" DEPENDS "peaknetd (= ${PROJECT_VERSION})" SCRIPTS ${scripts})
peaknet_package(libpeaknet-shm${PEAKNET_SHM_ABI} SUMMARY "Client library for producers and consumers of peaknetd's frame pool, C ABI" SECTION libs)
peaknet_package(libpeaknet-shm-dev SUMMARY "The same: header, CMake package, pkg-config file and examples" SECTION libdevel
                DEPENDS "libpeaknet-shm${PEAKNET_SHM_ABI} (= ${PROJECT_VERSION})" NO_SHLIBS)
peaknet_package(python3-peaknet-shm SUMMARY "The same for Python and NumPy" SECTION python NO_SHLIBS
                DEPENDS "libpeaknet-shm${PEAKNET_SHM_ABI} (= ${PROJECT_VERSION}), python3, python3-numpy")
