#include "cxi/slab.hpp"

#include <cstring>

namespace peaknet::writer {

SlabLayout stacked(std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  SlabLayout slab{panels * height, width, {}};
  for (std::uint32_t panel = 0; panel < panels; ++panel) slab.places.push_back({panel * height, 0});
  return slab;
}

bool is_stacked(const SlabLayout& slab, std::uint32_t height, std::uint32_t width) {
  return slab == stacked(static_cast<std::uint32_t>(slab.places.size()), height, width);
}

void fill_slab(const SlabLayout& slab, std::uint32_t height, std::uint32_t width, std::size_t pixel_bytes,
               std::span<const std::byte> frame, std::span<std::byte> slab_pixels) {
  const std::size_t row_bytes = width * pixel_bytes;
  const std::byte* from = frame.data();
  for (const PanelPlace& place : slab.places) {
    for (std::uint32_t y = 0; y < height; ++y, from += row_bytes) {
      std::byte* const to = slab_pixels.data() + ((std::size_t{place.y} + y) * slab.width + place.x) * pixel_bytes;
      std::memcpy(to, from, row_bytes);
    }
  }
}

}  // namespace peaknet::writer
