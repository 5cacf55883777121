// Turns the mask of one panel into runs: maximal stretches of set bits within a row. Gives them in blocks of whole
// rows, so that memory stays bounded on any mask, and asks for the pixels under each run ahead of use: at a few hundred
// peaks a frame most of the time would else be spent waiting for one cache line of image after the other. Bits of bad
// pixels count as not set.
//
// Keeps its buffers: no allocation after the first frame of the largest width. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "peaks/frame_view.hpp"
#include "peaks/word_scan.hpp"

namespace peaknet::writer {

struct PixelRun {
  std::uint32_t begin = 0;  // columns [begin, end)
  std::uint32_t end = 0;
  std::uint32_t component = 0;  // for the user of the runs
};

// Right of every column.
inline constexpr PixelRun kBeyond{std::numeric_limits<std::uint32_t>::max(), std::numeric_limits<std::uint32_t>::max(),
                                  0};

struct RowOfRuns {
  std::uint32_t y = 0;
  std::span<PixelRun>
      runs;  // never empty; from left to right, never touching; *runs.end() is kBeyond, so loops need no other end
};

class RunScanner {
 public:
  explicit RunScanner(SimdLevel level) : next_nonzero_(next_nonzero_word(level)) {}

  // `pixels` is the panel's image (null: none), used as an address only.
  void start(const MaskView& mask, std::uint32_t panel, const void* pixels, std::size_t bytes_per_pixel);

  // The next rows that have runs, top to bottom; false (and no rows) at the end of the panel. Everything given earlier
  // is gone, but the last row of the block before, with what was written into its runs, which is now
  // last_row_of_previous_block() (no runs: there was none).
  bool next_block();
  std::span<const RowOfRuns> rows() const { return rows_; }
  const RowOfRuns& last_row_of_previous_block() const { return previous_; }

 private:
  std::size_t scan_row(std::size_t first_word, std::size_t row_begin, std::uint32_t y, std::size_t count);

  NextNonzeroWord next_nonzero_;
  const std::uint64_t* words_ = nullptr;
  const std::uint64_t* bad_ = nullptr;
  const std::byte* pixels_ = nullptr;
  std::size_t bytes_per_pixel_ = 0;
  std::size_t bytes_per_row_ = 0;
  std::size_t words_per_row_ = 0;
  std::size_t end_ = 0;
  std::size_t at_ = 0;
  std::uint64_t tail_ = 0;
  std::vector<PixelRun> runs_;
  std::vector<RowOfRuns> rows_;
  RowOfRuns previous_;
};

}  // namespace peaknet::writer
