#include "peaks/peak_finder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <type_traits>

#include "base/no_count.hpp"
#include "peaks/local_ring.hpp"

namespace peaknet::writer {
namespace {

struct NoPixel {};

// A pixel below zero has no weight: a centre of weights of both signs may lie anywhere.
template <class Sum, class Pixel>
Sum weight_of(Pixel pixel) {
  if constexpr (std::is_unsigned_v<Pixel>) return static_cast<Sum>(pixel);
  return pixel > Pixel{0} ? static_cast<Sum>(pixel) : Sum{0};
}

// Adds one run, given the pixels of its row, to its component. False: one of its pixels holds no count.
template <class Pixel>
bool add_run(Component& component, const PixelRun& run, std::uint32_t y, const Pixel* row) {
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
    bool counts = !is_no_count(pixels[0]);
    for (std::uint64_t i = n - 1; i > 0; --i) {
      counts = counts && !is_no_count(pixels[i]);
      sum += static_cast<Sum>(pixels[i]);
      weight += weight_of<Sum>(pixels[i]);
      moment += weight;
      max = std::max(max, pixels[i - 1]);
    }
    sum += static_cast<Sum>(pixels[0]);
    weight += weight_of<Sum>(pixels[0]);
    component.sum += static_cast<double>(sum);
    component.weight += static_cast<double>(weight);
    component.weight_x += static_cast<double>(moment + weight * static_cast<Sum>(run.begin));
    component.weight_y += static_cast<double>(weight * static_cast<Sum>(y));
    component.max = std::max(component.max, static_cast<double>(max));
    return counts;
  }
  return true;
}

// Calls visit(pixel of that panel, its type chosen by the image), or visit(NoPixel()) without an image.
template <class Visit>
auto with_pixel_type(const ImageView& image, Visit&& visit) {
  if (!image.present()) return visit(NoPixel());
  switch (image.type) {
    case PixelType::uint16:
      return visit(std::uint16_t{});
    case PixelType::int16:
      return visit(std::int16_t{});
    case PixelType::float32:
      break;
  }
  return visit(float{});
}

// Sets in `bad`, laid out as the words of the panel, the marked pixels that hold no count.
template <class Pixel>
void add_no_counts(const MaskView& mask, std::uint32_t panel, const Pixel* pixels, std::uint64_t* bad) {
  const std::size_t words_per_row = mask.words_per_row();
  const std::uint64_t* words = mask.panel(panel);
  for (std::uint32_t y = 0; y < mask.height; ++y, pixels += mask.width) {
    for (std::size_t k = 0; k < words_per_row; ++k, ++words, ++bad) {
      const std::uint64_t valid = k + 1 == words_per_row ? mask_tail(mask.width) : ~std::uint64_t{0};
      for (std::uint64_t marked = load_word(words) & valid; marked != 0; marked &= marked - 1) {
        const int bit = std::countr_zero(marked);
        if (is_no_count(pixels[64 * k + static_cast<std::size_t>(bit)])) *bad |= std::uint64_t{1} << bit;
      }
    }
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
    const std::uint64_t components_before = search.components;
    MaskView view = mask;
    const auto look = [&](auto pixel) { return search_panel<decltype(pixel)>(view, image, panel, search); };
    if (!with_pixel_type(image, look)) {
      view.bad = without_no_counts(mask, image, panel);
      search.components = components_before;
      search.too_many = false;
      with_pixel_type(image, look);
    }
    if (search.too_many) {
      peaks.clear();
    } else {
      append_peaks(view, image, panel, search, peaks);
    }
  }
  search.work.label_steps = open_.steps() - steps_before;
  return search;
}

// The bad pixels of the frame, with those of the panel that are marked and hold no count.
const std::uint64_t* PeakFinder::without_no_counts(const MaskView& mask, const ImageView& image, std::uint32_t panel) {
  const std::size_t words = mask.words_per_panel() * mask.panels;
  if (mask.bad == nullptr) {
    bad_.assign(words, 0);
  } else {
    bad_.assign(mask.bad, mask.bad + words);
  }
  with_pixel_type(image, [&](auto pixel) {
    using Pixel = decltype(pixel);
    if constexpr (!std::is_same_v<Pixel, NoPixel>) {
      const Pixel* const pixels =
          static_cast<const Pixel*>(image.pixels) + std::size_t{panel} * mask.height * mask.width;
      add_no_counts(mask, panel, pixels, bad_.data() + panel * mask.words_per_panel());
    }
  });
  return bad_.data();
}

// Finds the components of one panel and leaves them in closed_. False: a pixel in them holds no count.
template <class Pixel>
bool PeakFinder::search_panel(const MaskView& mask, const ImageView& image, std::uint32_t panel, PeakSearch& search) {
  closed_.clear();
  bool counts = true;
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
        counts = add_run(open_[label], run, row.y, row_pixels) && counts;
      }
      search.work.runs += row.runs.size();
      search.work.contacts += std::exchange(contacts, 0);
      open_.close(above.runs, row.y, close);
      open_.end_row(row.runs);
      if (search.too_many) return counts;
      above = row;
    }
  }
  open_.close(above.runs, mask.height, close);
  return counts;
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
