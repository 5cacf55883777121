#include "imaging/reduced_panel.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#include "base/no_count.hpp"

namespace peaknet::imaging {
namespace {

template <class Pixel>
void take_largest(const Pixel* pixels, const Image& image, const PanelBox& panel, std::uint32_t bin,
                  ReducedPanel& out) {
  for (std::uint32_t y = 0; y < panel.height; ++y) {
    const std::size_t row = (std::size_t{panel.y} + y) * image.width + panel.x;
    float* to = out.values.data() + std::size_t{y / bin} * out.width;
    for (std::uint32_t x = 0; x < panel.width; ++x) {
      if (image.no_data != nullptr && image.no_data[row + x] != 0) continue;
      const Pixel pixel = pixels[row + x];
      if (is_no_count(pixel)) continue;
      const auto value = static_cast<float>(pixel);
      if (!(value <= to[x / bin])) to[x / bin] = value;
    }
  }
}

}  // namespace

ReducedPanel reduce(const Image& image, const PanelBox& panel, std::uint32_t bin) {
  ReducedPanel out{(panel.width + bin - 1) / bin, (panel.height + bin - 1) / bin, {}};
  out.values.assign(std::size_t{out.width} * out.height, std::numeric_limits<float>::quiet_NaN());
  switch (image.type) {
    case PixelType::uint16:
      take_largest(static_cast<const std::uint16_t*>(image.pixels), image, panel, bin, out);
      break;
    case PixelType::int16:
      take_largest(static_cast<const std::int16_t*>(image.pixels), image, panel, bin, out);
      break;
    case PixelType::float32:
      take_largest(static_cast<const float*>(image.pixels), image, panel, bin, out);
      break;
  }
  return out;
}

}  // namespace peaknet::imaging
