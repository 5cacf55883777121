// Between a class map (one byte a pixel, as masks are kept in files) and the bit mask of the pool. The daemon
// packs its results on the device itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace peaknet::writer {

// Bits are set where the class is 1, the peak class; every other class is background. `classes` holds panels x height x
// width bytes; `words` is resized; padding bits become 0.
void pack_mask(std::span<const std::uint8_t> classes, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
               std::vector<std::uint64_t>& words);

// The reverse: `classes` is resized and becomes 1 where the bit is set, else 0; padding bits are ignored.
void unpack_mask(std::span<const std::uint64_t> words, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                 std::vector<std::uint8_t>& classes);

}  // namespace peaknet::writer
