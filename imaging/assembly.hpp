// Assembly: where the panels of an image lie on the plane of the picture. Lengths are pixels of the detector, x counts
// to the right, y downwards. Values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "imaging/canvas.hpp"

namespace peaknet::imaging {

// A rectangle of the image, and where it lies: the outer corner of its first pixel, and the steps to the next column
// and to the next row.
struct PanelBox {
  std::uint32_t x = 0, y = 0, width = 0, height = 0;
  Point corner;
  Point column{1, 0};
  Point row{0, 1};
  std::optional<std::uint32_t> number;  // of the panel of a frame that it is, or is a part of

  bool holds(Point pixel) const {
    return pixel.x >= x - 0.5 && pixel.x < x + width - 0.5 && pixel.y >= y - 0.5 && pixel.y < y + height - 0.5;
  }
  // Of a place in the image; an integer is the middle of a pixel.
  Point on_plane(Point pixel) const {
    const double columns = pixel.x - x + 0.5;
    const double rows = pixel.y - y + 0.5;
    return {corner.x + columns * column.x + rows * row.x, corner.y + columns * column.y + rows * row.y};
  }
};

struct Assembly {
  std::vector<PanelBox> panels;
  std::optional<Point> beam;  // where the direct beam hits the plane, if that is known
};

// The smallest area of the plane that holds the panel. Nothing: its corner or its steps are no numbers, or span no
// area.
std::optional<Area> extent_of(const PanelBox& panel);
// That of all panels; nothing where there are none, or one has none.
std::optional<Area> extent_of(const Assembly& assembly);

// Panels that are stacked in an image, side by side in a nearly square grid, in their order, with gaps between them.
Assembly grid_of(std::uint32_t panels, std::uint32_t height, std::uint32_t width);

}  // namespace peaknet::imaging
