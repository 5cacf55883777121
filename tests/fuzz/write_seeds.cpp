// fuzz_seeds FOLDER: the seeds of the fuzzers as files, FOLDER/<dialect>/seed_<name>.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>

#include "tests/unit/feed/seeds.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    for (const auto& seed : peaknet::test::seeds()) {
      const std::filesystem::path folder = std::filesystem::path(argv[1]) / seed.dialect;
      std::filesystem::create_directories(folder);
      std::ofstream out(folder / ("seed_" + seed.name), std::ios::binary);
      out.exceptions(std::ios::badbit | std::ios::failbit);
      out.write(reinterpret_cast<const char*>(seed.message.data()), static_cast<std::streamsize>(seed.message.size()));
    }
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "fuzz_seeds: %s\n", failure.what());
    return 1;
  }
  return 0;
}
