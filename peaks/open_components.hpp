// The components that the row-by-row pass of the peak finder has begun and not finished. A component is open while a
// run of the current or the previous row belongs to it; when it is closed its number is used again, so the table never
// holds more than about one component for each pixel of a row, whatever the mask, and stays in the first-level cache.
//
// Numbers of components that turn out to be one are joined by union-find. The one that began first in raster order
// stays (SciPy's numbering). Joins live for one row: at its end every run is given the number that stayed (end_row), so
// chains are short.
//
// Inside part of the peak finder, all inline for its inner loop. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "peaks/run_scanner.hpp"

namespace peaknet::writer {

// Sums over the pixels of one component. Intensities are summed in double: exact for integer pixels as long as the true
// value is below 2^53 (a full 4096 x 4096 frame of 65535).
struct Component {
  double sum = 0;
  double weight = 0;    // sum of the intensities above zero, which alone are weights of the centre
  double weight_y = 0;  // weight times row
  double weight_x = 0;  // weight times column
  double max = -std::numeric_limits<double>::infinity();
  std::uint64_t n_pixels = 0;
  std::uint64_t total_y = 0;        // sum of rows
  std::uint64_t total_twice_x = 0;  // twice the sum of columns: whole for every run
  std::uint64_t first_index = 0;
  std::uint32_t y0 = 0;
  std::uint32_t x0 = 0;
  std::uint32_t y1 = 0;
  std::uint32_t x1 = 0;
};

class OpenComponents {
 public:
  // Forgets everything and makes room for the components of rows of `width` pixels.
  void start(std::uint32_t width) {
    const std::size_t most = std::size_t{width} + 4;  // two rows of runs that do not touch
    if (capacity_ < most) {
      components_ = std::make_unique<Component[]>(most);
      parent_ = std::make_unique<std::uint32_t[]>(most);
      capacity_ = most;
      free_.reserve(most);
      absorbed_.reserve(most);
    }
    used_ = 0;
    free_.clear();
    absorbed_.clear();
  }

  std::uint32_t begin(std::uint32_t y, std::uint32_t x, std::uint64_t first_index) {
    std::uint32_t label = used_;
    if (free_.empty()) {
      ++used_;
    } else {
      label = free_.back();
      free_.pop_back();
    }
    parent_[label] = label;
    Component& fresh = components_[label];
    fresh = Component{};
    fresh.first_index = first_index;
    fresh.y0 = fresh.y1 = y;
    fresh.x0 = fresh.x1 = x;
    return label;
  }

  Component& operator[](std::uint32_t label) { return components_[label]; }

  // The number that stands for `label` now.
  std::uint32_t find(std::uint32_t label) {
    while (parent_[label] != label) {
      parent_[label] = parent_[parent_[label]];
      label = parent_[label];
      ++steps_;
    }
    return label;
  }

  // Makes two components one; both labels must stand for themselves. Returns the one that stays.
  std::uint32_t join(std::uint32_t a, std::uint32_t b) {
    if (a == b) return a;
    if (components_[b].first_index < components_[a].first_index) std::swap(a, b);
    Component& into = components_[a];
    const Component& from = components_[b];
    into.sum += from.sum;
    into.weight += from.weight;
    into.weight_y += from.weight_y;
    into.weight_x += from.weight_x;
    into.max = into.max < from.max ? from.max : into.max;
    into.n_pixels += from.n_pixels;
    into.total_y += from.total_y;
    into.total_twice_x += from.total_twice_x;
    into.x0 = from.x0 < into.x0 ? from.x0 : into.x0;
    into.x1 = into.x1 < from.x1 ? from.x1 : into.x1;
    into.y1 = into.y1 < from.y1 ? from.y1 : into.y1;
    parent_[b] = a;
    absorbed_.push_back(b);
    return a;
  }

  // Closes the components of row `above` that have no pixel in row `y`: calls closed(component) for each of them once
  // and frees their numbers.
  template <class Closed>
  void close(std::span<const PixelRun> above, std::uint32_t y, Closed&& closed) {
    for (const PixelRun& run : above) {
      const std::uint32_t label = find(run.component);
      Component& component = components_[label];
      if (component.y1 == y) continue;
      closed(static_cast<const Component&>(component));
      component.y1 = y;  // several runs may name it
      free_.push_back(label);
    }
  }

  // After the runs of a row were joined and the row above was closed: gives each run the number that stayed.
  void end_row(std::span<PixelRun> runs) {
    if (absorbed_.empty()) return;
    for (PixelRun& run : runs) run.component = find(run.component);
    free_.insert(free_.end(), absorbed_.begin(), absorbed_.end());
    absorbed_.clear();
  }

  // Parents followed by find() since this object was made: work done, for tests that bound it.
  std::uint64_t steps() const { return steps_; }

 private:
  // Plain arrays: every index is a number that begin() gave out, and these are the innermost accesses of the search.
  std::unique_ptr<Component[]> components_;
  std::unique_ptr<std::uint32_t[]> parent_;
  std::size_t capacity_ = 0;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> absorbed_;
  std::uint32_t used_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace peaknet::writer
