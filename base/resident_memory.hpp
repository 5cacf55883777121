// How much memory this process itself holds: what is resident now, and the most since the peak was last forgotten.
// Any thread.
#pragma once

#include <cstdint>

namespace peaknet {

struct ResidentMemory {
  std::uint64_t now = 0, peak = 0;  // bytes; 0: the kernel does not tell
};

ResidentMemory resident_memory();

// The peak begins again at what is resident now. Where the kernel does not allow it the peak stays.
void forget_resident_peak();

}  // namespace peaknet
