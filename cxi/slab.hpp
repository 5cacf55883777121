// SlabLayout: where the panels of a frame lie in the two-dimensional image (the slab) of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace peaknet::writer {

// The slab's place of a panel's first pixel.
struct PanelPlace {
  std::uint32_t y = 0;
  std::uint32_t x = 0;
  bool operator==(const PanelPlace&) const = default;
};

struct SlabLayout {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::vector<PanelPlace> places;  // one for each panel
  bool operator==(const SlabLayout&) const = default;
};

// Panel p at row p * height.
SlabLayout stacked(std::uint32_t panels, std::uint32_t height, std::uint32_t width);
// Does it put all pixels where a frame in memory has them, so that nothing needs to be moved?
bool is_stacked(const SlabLayout& slab, std::uint32_t height, std::uint32_t width);

// Copies a frame's pixels to their places in `slab_pixels` (slab.height x slab.width); what belongs to no panel is left
// as it is.
void fill_slab(const SlabLayout& slab, std::uint32_t height, std::uint32_t width, std::size_t pixel_bytes,
               std::span<const std::byte> frame, std::span<std::byte> slab_pixels);

}  // namespace peaknet::writer
