// fuzz_seeds FOLDER: the seeds of the fuzzers as files, FOLDER/<dialect>/seed_<name>, and
// FOLDER/hdf5_answer/seed_<name> with what a sandbox answers for each HDF5 message (see hdf5_answer_fuzz.cpp).
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>

#include "feed/decoders/hdf5_layout.hpp"
#include "tests/fuzz/take_all.hpp"
#include "tests/unit/feed/read_at.hpp"

namespace peaknet::feed {
namespace {

using Bytes = std::vector<std::byte>;

Bytes with_answer(const Bytes& message) {
  const Hdf5Guard guard;
  const Bytes answer =
      save(survey_hdf5(test::reader_of(message), message.size(), test::kSeedFrames, fuzz::small_limits()));
  const auto length = static_cast<std::uint32_t>(answer.size());
  Bytes all(sizeof length);
  std::memcpy(all.data(), &length, sizeof length);
  all.insert(all.end(), answer.begin(), answer.end());
  all.insert(all.end(), message.begin(), message.end());
  return all;
}

void write(const std::filesystem::path& folder, const std::string& name, const Bytes& bytes) {
  std::filesystem::create_directories(folder);
  std::ofstream out(folder / ("seed_" + name), std::ios::binary);
  out.exceptions(std::ios::badbit | std::ios::failbit);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace
}  // namespace peaknet::feed

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    for (const auto& seed : peaknet::test::seeds()) {
      peaknet::feed::write(folder / seed.dialect, seed.name, seed.message);
      if (seed.dialect == "hdf5")
        peaknet::feed::write(folder / "hdf5_answer", seed.name, peaknet::feed::with_answer(seed.message));
    }
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "fuzz_seeds: %s\n", failure.what());
    return 1;
  }
  return 0;
}
