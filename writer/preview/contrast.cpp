#include "writer/preview/contrast.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kCell = 32;
constexpr double kGroundGrey = 70;  // levels from white to the darkest ground

// The scatter of a ground, from the middle (median absolute deviation) and from the upper flank, whichever says more:
// on a dark panel with single photons here and there the middle scatters not at all. In a normal distribution both are
// sigma.
constexpr float kSigmaOfMad = 1.4826F;
constexpr double kFlank = 0.97;
constexpr float kSigmasOfFlank = 1.8808F;

struct Cell {
  float ground = 0;
  float sigma = 0;
};

float quantile(std::vector<float>& values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// The cells of one panel, and what lies between their middles.
class Ground {
 public:
  Ground(const float* values, std::uint32_t height, std::uint32_t width, float least_sigma)
      : rows_((height + kCell - 1) / kCell), columns_((width + kCell - 1) / kCell) {
    cells_.reserve(std::size_t{rows_} * columns_);
    std::vector<float> inside;
    for (std::uint32_t row = 0; row < rows_; ++row) {
      for (std::uint32_t column = 0; column < columns_; ++column) {
        inside.clear();
        for (std::uint32_t y = row * kCell; y < std::min((row + 1) * kCell, height); ++y) {
          for (std::uint32_t x = column * kCell; x < std::min((column + 1) * kCell, width); ++x) {
            const float value = values[std::size_t{y} * width + x];
            if (std::isfinite(value)) inside.push_back(value);
          }
        }
        Cell cell;
        if (!inside.empty()) {
          cell.ground = quantile(inside, 0.5);
          const float flank = (quantile(inside, kFlank) - cell.ground) / kSigmasOfFlank;
          for (float& value : inside) value = std::abs(value - cell.ground);
          cell.sigma = std::max(flank, kSigmaOfMad * quantile(inside, 0.5));
        }
        cell.sigma = std::max(cell.sigma, least_sigma);
        cells_.push_back(cell);
      }
    }
  }

  Cell at(std::uint32_t y, std::uint32_t x) const {
    const Between vertical(y, rows_);
    const Between horizontal(x, columns_);
    const Cell* above = cells_.data() + std::size_t{vertical.first} * columns_;
    const Cell* below = cells_.data() + std::size_t{vertical.second} * columns_;
    const auto mix = [&](float Cell::*field) {
      const float upper = std::lerp(above[horizontal.first].*field, above[horizontal.second].*field, horizontal.share);
      const float lower = std::lerp(below[horizontal.first].*field, below[horizontal.second].*field, horizontal.share);
      return std::lerp(upper, lower, vertical.share);
    };
    return {mix(&Cell::ground), mix(&Cell::sigma)};
  }

  const std::vector<Cell>& cells() const { return cells_; }

 private:
  // A pixel lies between the middles of two cells; beyond the outermost ones it has theirs.
  struct Between {
    Between(std::uint32_t index, std::uint32_t cells) {
      const float position = (static_cast<float>(index) + 0.5F) / kCell - 0.5F;
      const float lower = std::floor(position);
      const auto last = static_cast<float>(cells - 1);
      first = static_cast<std::uint32_t>(std::clamp(lower, 0.0F, last));
      second = static_cast<std::uint32_t>(std::clamp(lower + 1, 0.0F, last));
      share = position - lower;
    }
    std::uint32_t first;
    std::uint32_t second;
    float share;
  };

  std::uint32_t rows_;
  std::uint32_t columns_;
  std::vector<Cell> cells_;
};

}  // namespace

Shades shade(std::span<const float> values, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
             float least_sigma) {
  Shades shades;
  if (values.empty()) return shades;
  const std::size_t per_panel = std::size_t{height} * width;
  std::vector<Ground> grounds;
  std::vector<float> levels;
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
    grounds.emplace_back(values.data() + panel * per_panel, height, width, least_sigma);
    for (const Cell& cell : grounds.back().cells()) levels.push_back(cell.ground);
  }
  shades.lightest_ground = quantile(levels, 0.02);
  shades.darkest_ground = quantile(levels, 0.98);
  const float range = shades.darkest_ground - shades.lightest_ground;

  shades.grey.reserve(values.size());
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
    const float* from = values.data() + panel * per_panel;
    for (std::uint32_t y = 0; y < height; ++y) {
      for (std::uint32_t x = 0; x < width; ++x) {
        const float value = from[std::size_t{y} * width + x];
        if (!std::isfinite(value)) {
          shades.grey.push_back(255);
          continue;
        }
        const Cell ground = grounds[panel].at(y, x);
        const float level = range > 0 ? (ground.ground - shades.lightest_ground) / range : 0;
        const double light = 255 - kGroundGrey * std::clamp(level, 0.0F, 1.0F);
        const float above = value - ground.ground;
        const double sigmas = above <= 0         ? 0
                              : ground.sigma > 0 ? static_cast<double>(above / ground.sigma)
                                                 : kBlackAtSigmas;
        // The first sigma is left white: it is nothing but the scatter of the ground.
        const double dark = std::clamp((sigmas - 1) / (kBlackAtSigmas - 1), 0.0, 1.0);
        shades.grey.push_back(static_cast<std::uint8_t>(std::lround(light * (1 - dark))));
      }
    }
  }
  return shades;
}

}  // namespace peaknet::writer
