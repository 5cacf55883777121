#include "slow_peaks.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "peaks/local_ring.hpp"

namespace peaknet::writer::test {
namespace {

struct Reader {
  const MaskView& mask;
  const ImageView& image;

  bool bit(const std::uint64_t* words, std::int64_t y, std::int64_t x) const {
    if (words == nullptr) return false;
    const std::uint64_t word =
        words[static_cast<std::size_t>(y) * mask.words_per_row() + static_cast<std::size_t>(x) / 64];
    return (word >> (x % 64) & 1) != 0;
  }
  bool marked(std::uint32_t panel, std::int64_t y, std::int64_t x) const { return bit(mask.panel(panel), y, x); }
  // The rule of base/no_count.hpp in other words.
  bool good(std::uint32_t panel, std::int64_t y, std::int64_t x) const {
    if (bit(mask.bad_of_panel(panel), y, x)) return false;
    if (!image.present()) return true;
    const double value = pixel(panel, y, x);
    return std::isfinite(value) && !(image.type == PixelType::int16 && value == -32768) && value > -2147483648.0;
  }
  bool set(std::uint32_t panel, std::int64_t y, std::int64_t x) const {
    if (y < 0 || x < 0 || y >= mask.height || x >= mask.width) return false;
    return marked(panel, y, x) && good(panel, y, x);
  }
  double pixel(std::uint32_t panel, std::int64_t y, std::int64_t x) const {
    const std::size_t at =
        (std::size_t{panel} * mask.height + static_cast<std::size_t>(y)) * mask.width + static_cast<std::size_t>(x);
    switch (image.type) {
      case PixelType::uint16:
        return static_cast<const std::uint16_t*>(image.pixels)[at];
      case PixelType::int16:
        return static_cast<const std::int16_t*>(image.pixels)[at];
      case PixelType::float32:
        return static_cast<double>(static_cast<const float*>(image.pixels)[at]);
    }
    return 0;
  }
};

double slow_snr(const Reader& frame, const Peak& peak) {
  if (!std::isfinite(peak.sum) || peak.y1 - peak.y0 >= kRingMaxBox || peak.x1 - peak.x0 >= kRingMaxBox) return 0;
  std::vector<double> ring;
  for (std::int64_t y = std::int64_t{peak.y0} - 3; y <= std::int64_t{peak.y1} + 3; ++y) {
    for (std::int64_t x = std::int64_t{peak.x0} - 3; x <= std::int64_t{peak.x1} + 3; ++x) {
      const auto away = std::max({peak.y0 - y, y - peak.y1, peak.x0 - x, x - peak.x1});
      if (away < 2 || y < 0 || x < 0 || y >= frame.mask.valid_height || x >= frame.mask.valid_width ||
          y >= frame.mask.height || x >= frame.mask.width) {
        continue;
      }
      if (!frame.marked(peak.panel, y, x) && frame.good(peak.panel, y, x)) {
        ring.push_back(frame.pixel(peak.panel, y, x));
      }
    }
  }
  if (ring.size() < kRingMinPixels) return 0;
  double mean = 0;
  for (const double value : ring) mean += value / static_cast<double>(ring.size());
  double variance = 0;
  for (const double value : ring) variance += (value - mean) * (value - mean) / static_cast<double>(ring.size());
  if (frame.image.type != PixelType::float32) variance = std::max(variance, 1.0 / 12);
  if (variance < 1e-18) return 0;
  const auto n = static_cast<double>(peak.n_pixels);
  return (peak.sum - n * mean) / (std::sqrt(variance) * std::sqrt(n));
}

Peak measure(const Reader& frame, std::uint32_t panel,
             const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pixels) {
  Peak peak;
  peak.panel = panel;
  peak.first_index = std::uint64_t{pixels[0].first} * frame.mask.width + pixels[0].second;
  peak.y0 = peak.y1 = pixels[0].first;
  peak.x0 = peak.x1 = pixels[0].second;
  peak.n_pixels = pixels.size();
  double sum_y = 0;
  double sum_x = 0;
  double weight = 0;
  double weighted_y = 0;
  double weighted_x = 0;
  bool first = true;
  for (const auto& [y, x] : pixels) {
    peak.y0 = std::min(peak.y0, y);
    peak.y1 = std::max(peak.y1, y);
    peak.x0 = std::min(peak.x0, x);
    peak.x1 = std::max(peak.x1, x);
    sum_y += y;
    sum_x += x;
    if (!frame.image.present()) continue;
    const double value = frame.pixel(panel, y, x);
    peak.sum += value;
    if (value > 0) {
      weight += value;
      weighted_y += value * y;
      weighted_x += value * x;
    }
    peak.max = first || value > peak.max ? value : peak.max;
    first = false;
  }
  const auto n = static_cast<double>(pixels.size());
  peak.y = peak.y_weighted = sum_y / n;
  peak.x = peak.x_weighted = sum_x / n;
  if (!frame.image.present()) return peak;
  peak.weighted = std::isfinite(peak.sum) && peak.sum > 0;
  if (peak.weighted) {
    peak.y_weighted = weighted_y / weight;
    peak.x_weighted = weighted_x / weight;
  }
  peak.snr = slow_snr(frame, peak);
  return peak;
}

bool near(double a, double b, double relative) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= relative * std::max({1.0, std::abs(a), std::abs(b)});
}

}  // namespace

SlowSearch slow_find(const MaskView& mask, const ImageView& image) {
  const Reader frame{mask, image};
  SlowSearch search;
  for (std::uint32_t panel = 0; panel < mask.panels; ++panel) {
    std::vector<bool> seen(std::size_t{mask.height} * mask.width);
    for (std::uint32_t y = 0; y < mask.height; ++y) {
      for (std::uint32_t x = 0; x < mask.width; ++x) {
        if (!frame.set(panel, y, x) || seen[std::size_t{y} * mask.width + x]) continue;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> pixels{{y, x}};
        seen[std::size_t{y} * mask.width + x] = true;
        for (std::size_t i = 0; i < pixels.size(); ++i) {
          for (int dy = -1; dy <= 1; ++dy) {
            for (int dx = -1; dx <= 1; ++dx) {
              const std::int64_t ny = std::int64_t{pixels[i].first} + dy;
              const std::int64_t nx = std::int64_t{pixels[i].second} + dx;
              if (!frame.set(panel, ny, nx)) continue;
              const std::size_t at = static_cast<std::size_t>(ny) * mask.width + static_cast<std::size_t>(nx);
              if (seen[at]) continue;
              seen[at] = true;
              pixels.emplace_back(ny, nx);
            }
          }
        }
        std::sort(pixels.begin(), pixels.end());
        ++search.components;
        const Peak peak = measure(frame, panel, pixels);
        if (peak.y >= mask.valid_height || peak.x >= mask.valid_width) {
          ++search.dropped_outside;
        } else {
          search.peaks.push_back(peak);
        }
      }
    }
  }
  return search;
}

std::string difference(const std::vector<Peak>& found, const std::vector<Peak>& expected, bool integers) {
  std::ostringstream out;
  out.precision(17);
  if (found.size() != expected.size()) {
    out << found.size() << " peaks instead of " << expected.size();
    return out.str();
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Peak& a = found[i];
    const Peak& b = expected[i];
    const auto say = [&](const char* what, auto is, auto should) {
      out << "peak " << i << " (panel " << b.panel << ", first pixel " << b.first_index << "): " << what << " is " << is
          << ", should be " << should << "\n";
    };
    if (a.panel != b.panel) say("panel", a.panel, b.panel);
    if (a.first_index != b.first_index) say("first_index", a.first_index, b.first_index);
    if (a.n_pixels != b.n_pixels) say("n_pixels", a.n_pixels, b.n_pixels);
    if (a.y0 != b.y0) say("y0", a.y0, b.y0);
    if (a.x0 != b.x0) say("x0", a.x0, b.x0);
    if (a.y1 != b.y1) say("y1", a.y1, b.y1);
    if (a.x1 != b.x1) say("x1", a.x1, b.x1);
    if (!near(a.y, b.y, 1e-12)) say("y", a.y, b.y);
    if (!near(a.x, b.x, 1e-12)) say("x", a.x, b.x);
    if (!near(a.max, b.max, 0)) say("max", a.max, b.max);
    if (!near(a.sum, b.sum, integers ? 0 : 1e-9)) say("sum", a.sum, b.sum);
    if (a.weighted != b.weighted) say("weighted", a.weighted, b.weighted);
    if (!near(a.y_weighted, b.y_weighted, integers ? 1e-12 : 1e-6)) say("y_weighted", a.y_weighted, b.y_weighted);
    if (!near(a.x_weighted, b.x_weighted, integers ? 1e-12 : 1e-6)) say("x_weighted", a.x_weighted, b.x_weighted);
    if (!near(a.snr, b.snr, 1e-6)) say("snr", a.snr, b.snr);
  }
  return out.str();
}

}  // namespace peaknet::writer::test
