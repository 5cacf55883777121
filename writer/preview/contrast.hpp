// From intensities to greys, so that a person sees the peaks. Dark peaks on a light ground, as on film and in most
// viewers of the field.
//
// One range of intensities for the whole picture does not do: a weak peak in a dark corner and one on the water ring
// cannot both be seen. So each pixel is compared with the ground around it, the median of cells of 32 x 32 pixels and
// their scatter: the ground itself is shown from white to light grey, and what rises above it grows dark up to black at
// ten times the scatter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace peaknet::writer {

struct Shades {
  std::vector<std::uint8_t> grey;  // for each value, 0 black to 255 white; white for what is no number
  float lightest_ground = 0;       // the intensities of the ground that are white and light grey
  float darkest_ground = 0;
};

inline constexpr double kBlackAtSigmas = 10;

// `values` holds panels x height x width pixels. `least_sigma`: the scatter is taken to be at least that (1 for counts,
// where a ground of nothing but zeros scatters not at all). NaN and infinite values are left out.
Shades shade(std::span<const float> values, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
             float least_sigma);

}  // namespace peaknet::writer
