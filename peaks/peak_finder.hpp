// Mask -> peaks. One pass over the bits of a frame: empty words are skipped, runs of set bits are joined to 8-connected
// components within each panel, and each component's centre, intensity, box and signal to noise come out, equal to
// scipy.ndimage.label(mask, ones((3, 3))) with center_of_mass, in the same order (panel, then raster order of the first
// pixel).
//
// Invariant I9: a pixel that is bad (MaskView::bad), or says itself that it holds no count (base/no_count.hpp), is in
// no peak, as if the mask did not have it: it joins nothing and is in no sum, no maximum, no centre and no ring. Where
// there is none, every number is what it would be without this rule.
//
// Make one finder for each thread and keep it: it keeps its buffers, so that nothing is allocated for a frame after the
// first of the largest width. Thread-compatible: a finder is used by one thread at a time; finders share nothing.
//
//   PeakFinder finder;
//   std::vector<Peak> peaks;
//   for (...) {
//     const PeakSearch search = finder.find(mask, image, peaks);
//     if (search.too_many) ...;  // a broken map: count the frame as rejected
//   }
//
// Time and memory are bounded on any mask. A mask with more than `max_components` components is no data but a broken
// network: the search stops as soon as that is certain and says too_many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "peaks/frame_view.hpp"
#include "peaks/open_components.hpp"
#include "peaks/peak.hpp"
#include "peaks/run_scanner.hpp"
#include "peaks/word_scan.hpp"

namespace peaknet::writer {

struct PeakFinderOptions {
  // In one frame, all panels together, those in the padding included
  std::size_t max_components = std::size_t{4} * 2048;
  SimdLevel simd = best_simd_level();  // must be available on this processor
};

// What was done for one frame, in steps that do not depend on the machine: tests bound the worst case with it.
struct PeakWork {
  std::uint64_t runs = 0;
  std::uint64_t contacts = 0;     // pairs of touching runs in neighbouring rows
  std::uint64_t label_steps = 0;  // parents followed in union-find
  std::uint64_t ring_pixels = 0;
};

struct PeakSearch {
  std::uint64_t components = 0;       // before any was dropped; when too_many: as many as were counted before stopping
  std::uint64_t dropped_outside = 0;  // centre in the padding
  bool too_many = false;              // more than max_components; no peaks are given
  PeakWork work;
};

class PeakFinder {
 public:
  explicit PeakFinder(const PeakFinderOptions& options = {});

  // Clears `peaks` and fills it; hand the same vector in again to keep its memory. `image` may be absent: then sums,
  // maxima and SNR are 0 and no peak is weighted.
  PeakSearch find(const MaskView& mask, const ImageView& image, std::vector<Peak>& peaks);

 private:
  const std::uint64_t* without_no_counts(const MaskView& mask, const ImageView& image, std::uint32_t panel);
  template <class Pixel>
  bool search_panel(const MaskView& mask, const ImageView& image, std::uint32_t panel, PeakSearch& search);
  void append_peaks(const MaskView& mask, const ImageView& image, std::uint32_t panel, PeakSearch& search,
                    std::vector<Peak>& peaks);

  std::size_t max_components_;
  RunScanner scanner_;
  OpenComponents open_;
  std::vector<std::uint64_t> bad_;                              // of a frame with marked pixels that hold no count
  std::vector<Component> closed_;                               // of one panel, in the order they were closed
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order_;  // first_index, position in closed_
};

}  // namespace peaknet::writer
