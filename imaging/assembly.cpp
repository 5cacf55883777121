#include "imaging/assembly.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace peaknet::imaging {
namespace {

constexpr std::uint32_t kGapShare = 64;  // a gap is so small a part of a panel's longer side

// The number of columns whose picture is nearest to a square.
std::uint32_t columns_for(std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  std::uint32_t best = 1;
  double least = std::numeric_limits<double>::infinity();
  for (std::uint32_t columns = 1; columns <= panels; ++columns) {
    const std::uint32_t rows = (panels + columns - 1) / columns;
    const double unevenness = std::abs(std::log(1.0 * width * columns / (1.0 * height * rows)));
    if (unevenness < least) {
      least = unevenness;
      best = columns;
    }
  }
  return best;
}

std::optional<Area> area_between(Point low, Point high) {
  const Area area{low.x, low.y, high.x - low.x, high.y - low.y};
  const bool numbers = std::isfinite(area.right()) && std::isfinite(area.bottom()) && std::isfinite(area.left) &&
                       std::isfinite(area.top);
  if (!numbers || !(area.width > 0) || !(area.height > 0)) return std::nullopt;
  return area;
}

}  // namespace

std::optional<Area> extent_of(const PanelBox& panel) {
  // Rows that run along the columns are no area.
  constexpr double kLeastArea = 1e-6;
  if (!(std::abs(panel.column.x * panel.row.y - panel.column.y * panel.row.x) > kLeastArea)) return std::nullopt;
  const double right = panel.x + panel.width - 0.5;
  const double bottom = panel.y + panel.height - 0.5;
  const double left = panel.x - 0.5;
  const double top = panel.y - 0.5;
  const std::array<Point, 4> corners = {panel.on_plane({left, top}), panel.on_plane({right, top}),
                                        panel.on_plane({left, bottom}), panel.on_plane({right, bottom})};
  const auto [low_x, high_x] = std::minmax({corners[0].x, corners[1].x, corners[2].x, corners[3].x});
  const auto [low_y, high_y] = std::minmax({corners[0].y, corners[1].y, corners[2].y, corners[3].y});
  return area_between({low_x, low_y}, {high_x, high_y});
}

std::optional<Area> extent_of(const Assembly& assembly) {
  std::optional<Area> all;
  for (const PanelBox& panel : assembly.panels) {
    const auto area = extent_of(panel);
    if (!area) return std::nullopt;
    if (!all) all = area;
    all = area_between({std::min(all->left, area->left), std::min(all->top, area->top)},
                       {std::max(all->right(), area->right()), std::max(all->bottom(), area->bottom())});
    if (!all) return std::nullopt;
  }
  return all;
}

Assembly grid_of(std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  Assembly grid;
  if (height == 0 || width == 0) return grid;
  const std::uint32_t columns = columns_for(panels, height, width);
  const std::uint32_t gap = std::max(1U, std::max(height, width) / kGapShare);
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
    PanelBox box{0, panel * height, width, height, {}, {1, 0}, {0, 1}, panel};
    box.corner = {1.0 * (panel % columns) * (width + gap), 1.0 * (panel / columns) * (height + gap)};
    grid.panels.push_back(box);
  }
  return grid;
}

}  // namespace peaknet::imaging
