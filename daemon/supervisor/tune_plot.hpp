// A picture of what `peaknetd tune` found: for each device the latency of a batch and the rate at each depth over the
// size of the batch, and where the recommendation lies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/supervisor/tune_report.hpp"
#include "imaging/canvas.hpp"

namespace peaknet::supervisor {

// Where a plot lies in the picture and what its axes show; for those who draw, and for tests.
struct PlotArea {
  std::int64_t left = 0, top = 0, width = 0, height = 0;
  std::size_t columns = 0;  // batch sizes, at equal distances
  double most = 0;          // at the upper edge; 0 is at the lower
  double x(std::size_t column) const {
    return static_cast<double>(left) +
           static_cast<double>(width) * (static_cast<double>(column) + 0.5) / static_cast<double>(columns);
  }
  double y(double value) const {
    return static_cast<double>(top + height) - static_cast<double>(height) * value / most;
  }
};

inline constexpr imaging::Colour kMedianColour{31, 119, 180}, kP95Colour{255, 127, 14}, kP99Colour{148, 103, 189};
inline constexpr std::array<imaging::Colour, 3> kDepthColours{
    imaging::Colour{150, 150, 150}, imaging::Colour{44, 160, 44}, imaging::Colour{214, 39, 40}};

PlotArea latency_area(const std::vector<TuneReport>& reports, std::size_t device);
PlotArea rate_area(const std::vector<TuneReport>& reports, std::size_t device);

// Errors: picture.not-made.
Result<imaging::Canvas> draw_plot(const std::vector<TuneReport>& reports);

// Errors: those of draw_plot and of imaging::write_png.
Status write_plot(const std::vector<TuneReport>& reports, const std::string& path);

}  // namespace peaknet::supervisor
