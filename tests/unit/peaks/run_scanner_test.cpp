#include "peaks/run_scanner.hpp"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "frames.hpp"

namespace peaknet::writer {
namespace {

using Runs = std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>>;  // y, begin, end

Runs scan(RunScanner& scanner, const MaskView& mask, std::uint32_t panel = 0) {
  Runs runs;
  scanner.start(mask, panel, nullptr, 0);
  while (scanner.next_block()) {
    for (const RowOfRuns& row : scanner.rows()) {
      EXPECT_FALSE(row.runs.empty());
      for (const PixelRun& run : row.runs) runs.emplace_back(row.y, run.begin, run.end);
    }
  }
  return runs;
}

Runs slow_scan(const test::TestFrame& frame) {
  Runs runs;
  for (std::uint32_t y = 0; y < frame.height; ++y) {
    for (std::uint32_t x = 0; x < frame.width; ++x) {
      const std::uint8_t* row = frame.classes.data() + std::size_t{y} * frame.width;
      if (row[x] == 0 || (x > 0 && row[x - 1] != 0)) continue;
      std::uint32_t end = x;
      while (end < frame.width && row[end] != 0) ++end;
      runs.emplace_back(y, x, end);
    }
  }
  return runs;
}

TEST(RunScanner, RunsCrossWordsAndEndWithTheRow) {
  RunScanner scanner(best_simd_level());
  const auto frame = test::draw(3, 192, [](auto y, auto x) { return y == 0 ? x >= 60 : y == 2 ? x < 130 : false; });
  EXPECT_EQ(scan(scanner, frame.mask()), (Runs{{0, 60, 192}, {2, 0, 130}}));
}

TEST(RunScanner, PaddingBitsAreNoPixels) {
  RunScanner scanner(best_simd_level());
  auto frame = test::draw(4, 70, [](auto, auto x) { return x == 69; });
  for (std::size_t row = 0; row < 4; ++row) frame.words[row * 2 + 1] |= ~mask_tail(70);
  frame.words[2 * 2 + 1] &= ~mask_tail(70);  // row 2: nothing but padding
  EXPECT_EQ(scan(scanner, frame.mask()), (Runs{{0, 69, 70}, {1, 69, 70}, {3, 69, 70}}));
}

TEST(RunScanner, EqualsTheSlowWayOnEveryWidthAndLevel) {
  std::mt19937 random(11);
  for (const SimdLevel level : available_simd_levels()) {
    RunScanner scanner(level);
    for (std::uint32_t width = 1; width <= 200; ++width) {
      const auto density = random() % 101;
      const auto frame = test::draw(20, width, [&](auto, auto) { return random() % 100 < density; });
      ASSERT_EQ(scan(scanner, frame.mask()), slow_scan(frame)) << "width " << width << " " << name(level);
    }
  }
}

TEST(RunScanner, TheLastRowOfABlockIsKeptWithItsLabels) {
  RunScanner scanner(best_simd_level());
  const auto frame = test::draw(300, 64, [](auto, auto x) { return x % 2 == 0; });
  scanner.start(frame.mask(), 0, nullptr, 0);
  std::uint32_t next_y = 0;
  int blocks = 0;
  while (scanner.next_block()) {
    const RowOfRuns& before = scanner.last_row_of_previous_block();
    if (blocks++ == 0) {
      EXPECT_TRUE(before.runs.empty());
    } else {
      ASSERT_EQ(before.runs.size(), 32U);
      EXPECT_EQ(before.y + 1, next_y);
      for (const PixelRun& run : before.runs) EXPECT_EQ(run.component, before.y * 1000 + run.begin);
      EXPECT_EQ((&before.runs.back() + 1)->begin, kBeyond.begin);
    }
    for (const RowOfRuns& row : scanner.rows()) {
      EXPECT_EQ(row.y, next_y++);
      for (PixelRun& run : row.runs) run.component = row.y * 1000 + run.begin;
      EXPECT_EQ((&row.runs.back() + 1)->begin, kBeyond.begin);
    }
  }
  EXPECT_EQ(next_y, 300U);
  EXPECT_GT(blocks, 2);
  EXPECT_EQ(scanner.last_row_of_previous_block().y, 299U);
}

}  // namespace
}  // namespace peaknet::writer
