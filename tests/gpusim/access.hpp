// What an operation on a simulated device does to memory, and what ends it.
#pragma once

#include <cstdint>
#include <string>

namespace peaknet::gpusim {

// Bytes that an operation reads or writes.
struct Range {
  std::uint64_t low, high;
  bool write;
};

// A store or load that the device cannot do: it breaks down.
struct Fault {
  std::string why;
};

}  // namespace peaknet::gpusim
