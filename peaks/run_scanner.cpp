#include "peaks/run_scanner.hpp"

#include <algorithm>
#include <bit>

namespace peaknet::writer {
namespace {

// A block ends with the row that reaches this many runs. Large enough that the pixels asked for have time to arrive,
// small enough that they are still in the second-level cache when they are used.
constexpr std::size_t kRunsPerBlock = 1024;

}  // namespace

void RunScanner::start(const MaskView& mask, std::uint32_t panel, const void* pixels, std::size_t bytes_per_pixel) {
  words_ = mask.panel(panel);
  bad_ = mask.bad_of_panel(panel);
  words_per_row_ = mask.words_per_row();
  end_ = mask.words_per_panel();
  at_ = 0;
  tail_ = mask_tail(mask.width);
  pixels_ = static_cast<const std::byte*>(pixels);
  bytes_per_pixel_ = bytes_per_pixel;
  bytes_per_row_ = bytes_per_pixel * mask.width;

  // The last row of the block before, a nearly full block, and one row more, each row with the run beyond it.
  const std::size_t most_in_a_row = words_per_row_ * 32 + 1;
  const std::size_t most = most_in_a_row + 2 * kRunsPerBlock + most_in_a_row;
  if (runs_.size() < most) runs_.resize(most);
  rows_.reserve(kRunsPerBlock + 1);
  rows_.clear();
  previous_ = {};
}

bool RunScanner::next_block() {
  std::size_t count = 0;
  if (!rows_.empty()) {
    const RowOfRuns last = rows_.back();
    std::copy(last.runs.begin(), last.runs.end(), runs_.begin());
    previous_ = {last.y, std::span(runs_).first(last.runs.size())};
    count = last.runs.size();
    runs_[count++] = kBeyond;
    rows_.clear();
  }
  std::size_t found = 0;
  while (found < kRunsPerBlock) {
    at_ = next_nonzero_(words_, at_, end_);
    if (at_ == end_) break;
    const std::size_t row = at_ / words_per_row_;
    const std::size_t row_begin = row * words_per_row_;
    const auto y = static_cast<std::uint32_t>(row);
    const std::size_t after = scan_row(at_, row_begin, y, count);
    if (after != count) {
      rows_.push_back({y, std::span(runs_).subspan(count, after - count)});
      found += after - count;
      count = after;
      runs_[count++] = kBeyond;
    }
    at_ = row_begin + words_per_row_;
  }
  return !rows_.empty();
}

// Appends the runs of one row to runs_[count...] and returns the new count. Beginnings and ends are taken from a word
// independently of each other, which spares the processor guessing where each run ends.
std::size_t RunScanner::scan_row(std::size_t first_word, std::size_t row_begin, std::uint32_t y, std::size_t count) {
  PixelRun* const runs = runs_.data();
  const std::byte* const row_pixels = pixels_ == nullptr ? nullptr : pixels_ + y * bytes_per_row_;
  const std::size_t row_end = row_begin + words_per_row_;
  std::size_t begun = count;
  std::size_t ended = count;
  std::size_t k = first_word;
  bool open = false;  // the word before ended inside a run
  while (k < row_end) {
    std::uint64_t word = load_word(words_ + k);
    if (k + 1 == row_end) word &= tail_;
    if (bad_ != nullptr) word &= ~bad_[k];
    const auto x = static_cast<std::uint32_t>((k - row_begin) * 64);
    if (open && (word & 1) == 0) {
      runs[ended++].end = x;
      open = false;
    }
    if (word == 0) {
      if (++k < row_end) k = next_nonzero_(words_, k, row_end);
      continue;
    }
    const std::uint64_t carry = open ? 1 : 0;
    for (std::uint64_t begins = word & ~(word << 1 | carry); begins != 0; begins &= begins - 1) {
      const std::uint32_t begin = x + static_cast<std::uint32_t>(std::countr_zero(begins));
      runs[begun++].begin = begin;
      if (row_pixels != nullptr) __builtin_prefetch(row_pixels + begin * bytes_per_pixel_);
    }
    open = (word >> 63) != 0;
    for (std::uint64_t ends = word & ~(word >> 1) & ~(std::uint64_t{1} << 63); ends != 0; ends &= ends - 1) {
      runs[ended++].end = x + static_cast<std::uint32_t>(std::countr_zero(ends)) + 1;
    }
    ++k;
  }
  // Only a row of a whole number of words can end inside a run.
  if (open) runs[ended++].end = static_cast<std::uint32_t>(words_per_row_ * 64);
  return ended;
}

}  // namespace peaknet::writer
