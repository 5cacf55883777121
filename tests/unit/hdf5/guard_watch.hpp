// Stands in the place where HDF5 takes its own lock, once for each call into the library, and asks whether the calling
// thread has an hdf5::Guard. Linked into a test's program; works with a library that is built thread-safe and shared.
#pragma once

#include <cstdint>
#include <string>

namespace peaknet::test {

struct GuardedCalls {
  std::uint64_t all = 0;
  std::uint64_t unguarded = 0;
  std::string first_unguarded;  // where it came from, as a stack
};

// From now on; what was counted before is forgotten.
void watch_hdf5_calls();
GuardedCalls hdf5_calls();

}  // namespace peaknet::test
