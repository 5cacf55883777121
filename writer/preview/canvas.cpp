#include "writer/preview/canvas.hpp"

#include <algorithm>
#include <cmath>

namespace peaknet::writer {
namespace {

std::uint8_t blend(std::uint8_t under, std::uint8_t over, double share) {
  return static_cast<std::uint8_t>(std::lround(under + (over - under) * share));
}

}  // namespace

void RgbImage::fill_rectangle(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Rgb colour) {
  const std::int64_t right = std::min<std::int64_t>(x + width, width_);
  const std::int64_t bottom = std::min<std::int64_t>(y + height, height_);
  for (std::int64_t row = std::max<std::int64_t>(y, 0); row < bottom; ++row) {
    for (std::int64_t column = std::max<std::int64_t>(x, 0); column < right; ++column) {
      set(static_cast<std::uint32_t>(column), static_cast<std::uint32_t>(row), colour);
    }
  }
}

void RgbImage::draw_line(double x0, double y0, double x1, double y1, std::int64_t thickness, Rgb colour) {
  const double length = std::max(std::abs(x1 - x0), std::abs(y1 - y0));
  if (!(length < 1e6)) return;
  const auto steps = std::max<std::int64_t>(1, std::llround(std::ceil(length)));
  for (std::int64_t i = 0; i <= steps; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(steps);
    fill_rectangle(std::llround(x0 + part * (x1 - x0)) - thickness / 2,
                   std::llround(y0 + part * (y1 - y0)) - thickness / 2, thickness, thickness, colour);
  }
}

void RgbImage::draw_ring(double x, double y, double radius, double thickness, Rgb colour) {
  const double reach = radius + thickness / 2 + 1;
  if (!(std::abs(x) < 1e6) || !(std::abs(y) < 1e6) || !(reach < 1e6)) return;
  const auto left = std::max<std::int64_t>(std::llround(std::floor(x - reach)), 0);
  const auto top = std::max<std::int64_t>(std::llround(std::floor(y - reach)), 0);
  const auto right = std::min<std::int64_t>(std::llround(std::ceil(x + reach)), std::int64_t{width_} - 1);
  const auto bottom = std::min<std::int64_t>(std::llround(std::ceil(y + reach)), std::int64_t{height_} - 1);
  for (std::int64_t row = top; row <= bottom; ++row) {
    for (std::int64_t column = left; column <= right; ++column) {
      const double from_line =
          std::abs(std::hypot(static_cast<double>(column) - x, static_cast<double>(row) - y) - radius);
      const double share = std::clamp(thickness / 2 + 0.5 - from_line, 0.0, 1.0);
      if (share == 0) continue;
      const auto px = static_cast<std::uint32_t>(column);
      const auto py = static_cast<std::uint32_t>(row);
      const Rgb under = at(px, py);
      set(px, py,
          {blend(under.red, colour.red, share), blend(under.green, colour.green, share),
           blend(under.blue, colour.blue, share)});
    }
  }
}

}  // namespace peaknet::writer
