#include "imaging/grey_scale.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace peaknet::imaging {
namespace {

std::string number(double value) {
  std::array<char, 32> text{};
  const bool long_one = std::abs(value) >= 1e4 && std::abs(value) < 1e7;  // in digits, not as 1.308e+04
  std::snprintf(text.data(), text.size(), long_one ? "%.0f" : "%.4g", value);
  return text.data();
}

}  // namespace

std::uint8_t GreyScale::grey(float value) const {
  if (value <= low) return 255;
  if (value >= high) return 0;
  const double share = (double{value} - low) / (double{high} - low);
  return static_cast<std::uint8_t>(std::lround(255 * (1 - share)));
}

GreyScale grey_scale(std::span<const float> values) {
  std::vector<float> numbers;
  numbers.reserve(values.size());
  std::copy_if(values.begin(), values.end(), std::back_inserter(numbers), [](float v) { return std::isfinite(v); });
  if (numbers.empty()) return {};
  const auto percentile = [&](double share) {
    const auto at =
        numbers.begin() + static_cast<std::ptrdiff_t>(std::lround(share * static_cast<double>(numbers.size() - 1)));
    std::nth_element(numbers.begin(), at, numbers.end());
    return *at;
  };
  GreyScale scale{true, percentile(kLowShare), percentile(kHighShare), false};
  if (!(scale.high > scale.low)) {
    scale.high = *std::max_element(numbers.begin(), numbers.end());
    scale.high_is_largest = true;
  }
  return scale;
}

std::vector<BarMark> bar_marks(const GreyScale& scale) {
  if (!scale.any) return {};
  if (!(scale.high > scale.low)) return {{0, number(scale.low) + " (1-99.9 %)"}};
  constexpr int kSteps = 4;
  std::vector<BarMark> marks;
  for (int i = 0; i <= kSteps; ++i) {
    const double share = static_cast<double>(i) / kSteps;
    std::string text = number(scale.low + share * (double{scale.high} - scale.low));
    if (i == 0) text += " (1 %)";
    if (i == kSteps) text += scale.high_is_largest ? " (largest)" : " (99.9 %)";
    marks.push_back({share, std::move(text)});
  }
  return marks;
}

}  // namespace peaknet::imaging
