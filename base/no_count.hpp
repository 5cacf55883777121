// The values by which a pixel says itself that it holds no count, in the pixel types of a pool: NaN and infinity, and
// the lowest number of a signed type, which detectors write into gaps (-2^31 of int32 arrives in float32 as it is).
//
// 65535 and 32767 are none of them: they are saturated pixels, the middle of the strongest peaks, as often as gaps; and
// -1 is a gap to some detectors and a count below the pedestal to others. Such pixels belong into
// preprocess.bad_pixels.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace peaknet {

template <class Pixel>
bool is_no_count(Pixel pixel) {
  if constexpr (std::is_floating_point_v<Pixel>) {
    return !std::isfinite(pixel) || pixel <= static_cast<Pixel>(std::numeric_limits<std::int32_t>::min());
  } else if constexpr (std::is_signed_v<Pixel>) {
    return pixel == std::numeric_limits<Pixel>::min();
  } else {
    return false;
  }
}

}  // namespace peaknet
