// A panel of an image as the picture shows it: each value the largest of `bin` x `bin` pixels, so that no peak
// disappears where a picture is smaller than its image.
#pragma once

#include <cstdint>
#include <vector>

#include "base/pixel_type.hpp"
#include "imaging/assembly.hpp"

namespace peaknet::imaging {

// Views, which must outlive whoever looks at them: height x width pixels in C order, aligned for their type.
struct Image {
  const void* pixels = nullptr;  // null: there is none
  PixelType type = PixelType::uint16;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  const std::uint8_t* no_data = nullptr;  // one for each pixel, not 0: it is masked; null: none is
};

struct ReducedPanel {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<float> values;  // NaN: all pixels are masked or hold no number
};

// `panel` lies within the image. A pixel holds no number as for the peak finder: NaN, infinity, the lowest number of a
// signed type.
ReducedPanel reduce(const Image& image, const PanelBox& panel, std::uint32_t bin);

}  // namespace peaknet::imaging
