# A Spack package for nodes without root: it brings a compiler and all libraries along.
#
#   spack repo add packaging/spack
#   spack dev-build peaknetd@main          # in the root of this repository
#
# Built-in models only, unless PEAKNET_TORCH names a LibTorch (2.9 or later) and +torch is given.
from spack.package import *


class Peaknetd(CMakePackage):
    """Bragg peak finding between an X-ray detector and CXI files: a daemon that takes images out of shared memory, marks peaks with a
    neural network and hands them to a writer of CXI files."""

    license("BSD-3-Clause")

    version("main")

    variant("torch", default=False, description="Networks, with the LibTorch that PEAKNET_TORCH names")
    variant("cuda", default=False, description="GPUs")
    variant("systemd", default=False, description="Notifications of systemd")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("boost@1.74:")
    depends_on("cppzmq@4.9:")
    depends_on("libzmq@4.3.4:")
    depends_on("hdf5@1.10:~mpi")
    depends_on("yaml-cpp@0.7:")
    depends_on("spdlog@1.10:")
    depends_on("fmt")
    depends_on("nlohmann-json@3.11:")
    depends_on("cli11@2.1:")
    depends_on("lz4@1.9:")
    depends_on("zstd@1.5:")
    depends_on("libdeflate@1.14:")
    depends_on("isa-l@2.30:")
    depends_on("c-blosc@1.21:")
    depends_on("zfp@1:")
    depends_on("libcbor@0.8:")
    depends_on("openssl@3:")
    depends_on("cairo@1.16:+png")
    depends_on("zlib-api")
    depends_on("systemd", when="+systemd")
    depends_on("cuda@12.6:", when="+cuda")
    depends_on("python@3.9:", type=("build", "run"))
    depends_on("py-numpy", type="run")

    conflicts("%gcc@:10", msg="C++20 is needed")
    conflicts("%clang@:13", msg="C++20 is needed")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define("PEAKNET_TORCH", env.get("PEAKNET_TORCH", "ON") if self.spec.satisfies("+torch") else "OFF"),
            self.define_from_variant("PEAKNET_CUDA", "cuda"),
            self.define("PEAKNET_TESTS", False),
            self.define("PEAKNET_BENCH", False),
            self.define("PEAKNET_WERROR", False),
        ]
