#include "tests/unit/cxi/few_descriptors.hpp"

#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::test {

void add_copies(const std::filesystem::path& folder, std::size_t files, writer::FilesInTime& names) {
  if (names.empty()) names.insert(finish_file(folder, "1", 0, 0, 2).filename());
  const std::string first = *names.begin();
  while (names.size() < files) {
    std::string copy = first;
    copy.replace(copy.find("_000000_w3"), 7, "_" + std::to_string(100000 + names.size()));
    std::filesystem::copy_file(folder / first, folder / copy);
    names.insert(copy);
  }
}

std::string read_with_descriptors(const std::filesystem::path& master, std::size_t events, int descriptors) {
  auto python =
      Child::start({"/usr/bin/python3", "-c",
                    "import sys, resource\n"
                    "try: import h5py, numpy\n"
                    "except ImportError: sys.exit(77)\n"
                    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), int(sys.argv[3])))\n"
                    "f = h5py.File(sys.argv[1], 'r')\n"
                    "counts = f['/entry_1/result_1/nPeaks'][:]\n"
                    "assert len(counts) == int(sys.argv[2]) and (counts > 0).all()\n"
                    "assert (f['/entry_1/result_1/peakTotalIntensity'][:].max(axis=1) > 0).all()\n"
                    "images, zeros, gaps = f['/entry_1/data_1/data'], 0, 0\n"
                    "for image in (images[i] for i in range(len(counts))):\n"
                    "    zeros += not image.any()\n"
                    "    gaps += bool((image == 65535).all())\n"
                    "print(f'{len(counts)} events: {len(counts) - gaps} images, {gaps} are gaps, {zeros} are zero')\n",
                    master, std::to_string(events), std::to_string(descriptors)});
  const auto exit = python.wait();
  if (exit == Exit::code(77)) return "skipped";
  return exit == Exit::code(0) ? python.out() : python.out() + python.err();
}

}  // namespace peaknet::test
