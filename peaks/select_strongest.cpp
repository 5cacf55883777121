#include "peaks/select_strongest.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace peaknet::writer {
namespace {

// NaN would break the ordering that the standard algorithms ask for.
double rank(double value) { return std::isfinite(value) ? value : -std::numeric_limits<double>::infinity(); }

}  // namespace

std::size_t keep_strongest(std::vector<Peak>& peaks, std::size_t max_num_peak) {
  if (peaks.size() <= max_num_peak) return 0;
  const std::size_t cut = peaks.size() - max_num_peak;
  if (max_num_peak == 0) {
    peaks.clear();
    return cut;
  }
  // The order is total, because (panel, first_index) is unique: the answer does not depend on the library's algorithm.
  const auto stronger = [](const Peak& a, const Peak& b) {
    if (rank(a.sum) != rank(b.sum)) return rank(a.sum) > rank(b.sum);
    if (rank(a.max) != rank(b.max)) return rank(a.max) > rank(b.max);
    return a.panel != b.panel ? a.panel < b.panel : a.first_index < b.first_index;
  };
  const auto in_raster_order = [](const Peak& a, const Peak& b) {
    return a.panel != b.panel ? a.panel < b.panel : a.first_index < b.first_index;
  };
  const auto last_kept = peaks.begin() + static_cast<std::ptrdiff_t>(max_num_peak);
  std::nth_element(peaks.begin(), last_kept, peaks.end(), stronger);
  peaks.erase(last_kept, peaks.end());
  std::sort(peaks.begin(), peaks.end(), in_raster_order);
  return cut;
}

}  // namespace peaknet::writer
