// Limits of a pool and of an engine: the same for the configuration, requests, command lines and the shared memory.
// docs/configuration.md shows them beside the keys.
#pragma once

#include <cstdint>

namespace peaknet {

inline constexpr std::uint32_t kMinSlots = 2;  // pool.slots
inline constexpr std::uint32_t kMaxSlots = 4096;
inline constexpr std::uint32_t kMaxPanels = 1024;  // pool.shape
inline constexpr std::uint32_t kMaxSide = 32768;   // pixels of a panel's height and width
inline constexpr std::uint32_t kMaxDepth = 8;      // engine.depth: lanes of a device
inline constexpr std::uint32_t kMaxBatch = 256;    // engine.batch, in events

}  // namespace peaknet
