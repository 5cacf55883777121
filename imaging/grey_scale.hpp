// GreyScale: which grey shows which value, for a whole picture: one straight line from the 1st percentile (white) to
// the 99.9th (black), so that one saturated pixel changes nothing. No neighbour of a pixel has a say in its grey: what
// looks like structure is in the data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace peaknet::imaging {

inline constexpr double kLowShare = 0.01;
inline constexpr double kHighShare = 0.999;

struct GreyScale {
  bool any = false;  // is there a value at all?
  float low = 0;     // white, as all below it
  float high = 0;    // black, as all above it
  // Where both percentiles are one value (a dark image with some peaks) black is the largest value; where all values
  // are one, `high` is `low`, and all pixels are white.
  bool high_is_largest = false;

  // 255 is white. `value` is a number.
  std::uint8_t grey(float value) const;
};

// Of the values that are numbers.
GreyScale grey_scale(std::span<const float> values);

// What stands beside the bar. `share`: 0 at its white end, 1 at its black one.
struct BarMark {
  double share = 0;
  std::string text;
};
std::vector<BarMark> bar_marks(const GreyScale& scale);

}  // namespace peaknet::imaging
