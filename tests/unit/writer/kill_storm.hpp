// A storm of kill -9 over writers at work; what must be true afterwards is judged by the frames in the files, by the
// counters of the instance, and by an audit of the folder. Short forms run with the unit tests, the long one as soak.
#pragma once

#include <cstdint>
#include <ostream>

#include "config/config.hpp"

namespace peaknet::test {

struct KillStorm {
  const char* name;
  unsigned seed;
  int writers;
  std::uint64_t frames;  // at least
  int kills;             // at least
  config::Compression compression;
  config::Images images;
  bool segmentation = false;
};
inline void PrintTo(const KillStorm& storm, std::ostream* out) { *out << storm.name; }  // in the name of a test

// Fails the running test where something is not as it must be.
void expect_to_survive(const KillStorm& storm);

}  // namespace peaknet::test
