// Does this processor compute with 16-bit floating-point numbers itself? Where it does not, each operation of a network
// converts them, and float32 is faster. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace peaknet {

enum class SmallFloat : std::uint8_t { bfloat16, float16 };

// By the flags that the kernel tells of. Nothing: it tells of none.
std::optional<bool> computes_itself(SmallFloat kind, const std::string& cpuinfo = "/proc/cpuinfo");

}  // namespace peaknet
