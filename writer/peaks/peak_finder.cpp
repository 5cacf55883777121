#include "writer/peaks/peak_finder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "writer/peaks/local_ring.hpp"

namespace peaknet::writer {
namespace {

struct NoPixel {};

// The larger one; a NaN only where both are.
template <class Pixel>
Pixel larger(Pixel a, Pixel b) {
  if constexpr (std::is_floating_point_v<Pixel>) {
    if (std::isnan(a)) return b;
  }
  return b > a ? b : a;
}

// A pixel below zero, or one that is no number, has no weight: a centre of weights of both signs may lie anywhere.
template <class Sum, class Pixel>
Sum weight_of(Pixel pixel) {
  if constexpr (std::is_unsigned_v<Pixel>) return static_cast<Sum>(pixel);
  return pixel > Pixel{0} ? static_cast<Sum>(pixel) : Sum{0};
}

// Adds one run, given the pixels of its row, to its component.
template <class Pixel>
void add_run(Component& component, const PixelRun& run, std::uint32_t y, const Pixel* row) {
  const std::uint64_t n = run.end - run.begin;
  component.n_pixels += n;
  component.total_y += n * y;
  component.total_twice_x += n * (std::uint64_t{run.begin} + run.end - 1);
  component.x0 = std::min(component.x0, run.begin);
  component.x1 = std::max(component.x1, run.end - 1);
  component.y1 = y;
  if constexpr (!std::is_same_v<Pixel, NoPixel>) {
    using Sum = std::conditional_t<std::is_integral_v<Pixel>, std::int64_t, double>;
    const Pixel* const pixels = row + run.begin;
    Sum sum = 0;
    Sum weight = 0;
    Sum moment = 0;  // about the run's beginning: sum of i * weight i, as the sum of all sums from k = 1... to the end
    Pixel max = pixels[n - 1];
    for (std::uint64_t i = n - 1; i > 0; --i) {
      sum += static_cast<Sum>(pixels[i]);
      weight += weight_of<Sum>(pixels[i]);
      moment += weight;
      max = larger(max, pixels[i - 1]);
    }
    sum += static_cast<Sum>(pixels[0]);
    weight += weight_of<Sum>(pixels[0]);
    component.sum += static_cast<double>(sum);
    component.weight += static_cast<double>(weight);
    component.weight_x += static_cast<double>(moment + weight * static_cast<Sum>(run.begin));
    component.weight_y += static_cast<double>(weight * static_cast<Sum>(y));
    component.max = std::max(component.max, static_cast<double>(max));
  }
}

Peak to_peak(const Component& component, std::uint32_t panel, bool has_image) {
  Peak peak;
  peak.panel = panel;
  const auto n = static_cast<double>(component.n_pixels);
  peak.y = static_cast<double>(component.total_y) / n;
  peak.x = static_cast<double>(component.total_twice_x) / (2 * n);
  peak.y_weighted = peak.y;
  peak.x_weighted = peak.x;
  peak.n_pixels = component.n_pixels;
  peak.y0 = component.y0;
  peak.x0 = component.x0;
  peak.y1 = component.y1;
  peak.x1 = component.x1;
  peak.first_index = component.first_index;
  if (!has_image) return peak;
  peak.sum = component.sum;
  peak.max = component.max;
  if (std::isnan(peak.sum) && peak.max == -std::numeric_limits<double>::infinity()) peak.max = peak.sum;
  peak.weighted = std::isfinite(peak.sum) && peak.sum > 0;
  if (peak.weighted) {
    // Rounding of floats can lead out of the box by a unit in the last place.
    peak.y_weighted = std::clamp<double>(component.weight_y / component.weight, peak.y0, peak.y1);
    peak.x_weighted = std::clamp<double>(component.weight_x / component.weight, peak.x0, peak.x1);
  }
  return peak;
}

}  // namespace

PeakFinder::PeakFinder(const PeakFinderOptions& options)
    : max_components_(options.max_components), scanner_(options.simd) {
  closed_.reserve(max_components_ + 1);
  order_.reserve(max_components_ + 1);
}

PeakSearch PeakFinder::find(const MaskView& mask, const ImageView& image, std::vector<Peak>& peaks) {
  PeakSearch search;
  peaks.clear();
  peaks.reserve(max_components_);
  const std::uint64_t steps_before = open_.steps();
  for (std::uint32_t panel = 0; panel < mask.panels && !search.too_many; ++panel) {
    closed_.clear();
    if (!image.present()) {
      search_panel<NoPixel>(mask, image, panel, search);
    } else {
      switch (image.type) {
        case PixelType::uint16:
          search_panel<std::uint16_t>(mask, image, panel, search);
          break;
        case PixelType::int16:
          search_panel<std::int16_t>(mask, image, panel, search);
          break;
        case PixelType::float32:
          search_panel<float>(mask, image, panel, search);
          break;
      }
    }
    if (search.too_many) {
      peaks.clear();
    } else {
      append_peaks(mask, image, panel, search, peaks);
    }
  }
  search.work.label_steps = open_.steps() - steps_before;
  return search;
}

// Finds the components of one panel and leaves them in closed_.
template <class Pixel>
void PeakFinder::search_panel(const MaskView& mask, const ImageView& image, std::uint32_t panel, PeakSearch& search) {
  const Pixel* pixels = nullptr;
  if constexpr (!std::is_same_v<Pixel, NoPixel>) {
    pixels = static_cast<const Pixel*>(image.pixels) + std::size_t{panel} * mask.height * mask.width;
  }
  const auto close = [&](const Component& component) {
    ++search.components;
    if (search.components > max_components_) {
      search.too_many = true;
      return;
    }
    prefetch_ring(mask, image, panel, component.y0, component.x0, component.y1, component.x1);
    closed_.push_back(component);
  };

  open_.start(mask.width);
  scanner_.start(mask, panel, pixels, sizeof(Pixel));
  RowOfRuns above;
  std::uint64_t contacts = 0;
  for (bool more = true; more;) {
    more = scanner_.next_block();
    above = scanner_.last_row_of_previous_block();  // it moved
    for (const RowOfRuns& row : scanner_.rows()) {
      const Pixel* row_pixels = pixels == nullptr ? nullptr : pixels + std::size_t{row.y} * mask.width;
      const bool neighbours = !above.runs.empty() && above.y + 1 == row.y;
      if (!neighbours) {
        open_.close(above.runs, row.y, close);
        above.runs = {};
      }
      const PixelRun* left =
          neighbours ? above.runs.data() : &kBeyond;  // all runs before it end left of the run at hand
      for (PixelRun& run : row.runs) {
        while (left->end < run.begin) ++left;
        // Touching by a corner counts: an upper run that ends where this one begins, or begins where it ends.
        std::uint32_t label = 0;
        if (left->begin <= run.end) {
          label = open_.find(left->component);
          const PixelRun* touching = left + 1;
          for (; touching->begin <= run.end; ++touching) label = open_.join(label, open_.find(touching->component));
          contacts += static_cast<std::uint64_t>(touching - left);
        } else {
          label = open_.begin(row.y, run.begin, std::uint64_t{row.y} * mask.width + run.begin);
        }
        run.component = label;
        add_run(open_[label], run, row.y, row_pixels);
      }
      search.work.runs += row.runs.size();
      search.work.contacts += std::exchange(contacts, 0);
      open_.close(above.runs, row.y, close);
      open_.end_row(row.runs);
      if (search.too_many) return;
      above = row;
    }
  }
  open_.close(above.runs, mask.height, close);
}

// Turns closed_ into peaks, in raster order.
void PeakFinder::append_peaks(const MaskView& mask, const ImageView& image, std::uint32_t panel, PeakSearch& search,
                              std::vector<Peak>& peaks) {
  order_.clear();
  for (const Component& component : closed_) {
    order_.emplace_back(component.first_index, static_cast<std::uint32_t>(order_.size()));
  }
  std::sort(order_.begin(), order_.end());
  for (const auto& [first_index, position] : order_) {
    Peak peak = to_peak(closed_[position], panel, image.present());
    if (peak.y >= mask.valid_height || peak.x >= mask.valid_width) {
      ++search.dropped_outside;
      continue;
    }
    peak.snr = local_snr(mask, image, peak, search.work.ring_pixels);
    peaks.push_back(peak);
  }
}

}  // namespace peaknet::writer
