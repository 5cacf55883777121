// The order in which floating counts of an event are added. Every addition rounds, so a sum depends on it; this one is
// part of what the kernels compute: the same on the host, on every GPU and whatever is scheduled when.
//
//   The pixels are cut into kSumParts parts of equal length, a multiple of kSumLanes; the last ones may be short or
//   empty. In a part kSumLanes sums run side by side: pixel i of the part belongs to sum i % kSumLanes, in ascending
//   order, from 0 on. The sums of a part are folded (the upper half onto the lower one, until one is left), then the
//   parts are.
//
// On a GPU a part is a block and a sum is a thread, so neighbouring threads read neighbouring pixels. C++17.
#pragma once

#include <cstdint>

#include "daemon/kernels/pixel_math.hpp"

namespace peaknet::kernels {

constexpr std::uint32_t kSumParts = 256;
constexpr std::uint32_t kSumLanes = 256;

struct PixelSpan {
  std::uint64_t begin, end;
};
PEAKNET_HD inline PixelSpan part_of(std::uint64_t pixels, std::uint32_t part) {
  constexpr std::uint64_t kAtOnce = std::uint64_t{kSumParts} * kSumLanes;
  const std::uint64_t length = (pixels + kAtOnce - 1) / kAtOnce * kSumLanes;
  const std::uint64_t begin = length * part < pixels ? length * part : pixels;
  return {begin, begin + length < pixels ? begin + length : pixels};
}

}  // namespace peaknet::kernels
