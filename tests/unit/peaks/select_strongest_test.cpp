#include "peaks/select_strongest.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace peaknet::writer {
namespace {

Peak peak(std::uint64_t first_index, double sum, double max = 0, std::uint32_t panel = 0) {
  Peak made;
  made.panel = panel;
  made.first_index = first_index;
  made.sum = sum;
  made.max = max;
  return made;
}

std::vector<std::uint64_t> indices(const std::vector<Peak>& peaks) {
  std::vector<std::uint64_t> result;
  for (const Peak& p : peaks) result.push_back(p.first_index);
  return result;
}

TEST(KeepStrongest, LeavesAShortListAlone) {
  std::vector<Peak> peaks{peak(1, 5), peak(2, 9)};
  EXPECT_EQ(keep_strongest(peaks, 2), 0U);
  EXPECT_EQ(indices(peaks), (std::vector<std::uint64_t>{1, 2}));
}

TEST(KeepStrongest, CutsTheWeakestAndKeepsRasterOrder) {
  std::vector<Peak> peaks{peak(7, 10, 0, 0), peak(9, 50, 0, 0), peak(1, 20, 0, 1), peak(2, 5, 0, 1), peak(3, 40, 0, 1)};
  EXPECT_EQ(keep_strongest(peaks, 3), 2U);
  EXPECT_EQ(indices(peaks), (std::vector<std::uint64_t>{9, 1, 3}));
}

TEST(KeepStrongest, EqualSumsAreDecidedByTheMaximumThenByTheOrder) {
  std::vector<Peak> peaks{peak(1, 10, 3), peak(2, 10, 4), peak(3, 10, 3), peak(4, 10, 3)};
  EXPECT_EQ(keep_strongest(peaks, 2), 2U);
  EXPECT_EQ(indices(peaks), (std::vector<std::uint64_t>{1, 2}));
}

TEST(KeepStrongest, ABrokenSumIsWeakerThanAnyNumber) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Peak> peaks{peak(1, nan, nan), peak(2, -5), peak(3, infinity), peak(4, 1), peak(5, -infinity)};
  EXPECT_EQ(keep_strongest(peaks, 2), 3U);
  EXPECT_EQ(indices(peaks), (std::vector<std::uint64_t>{2, 4}));
}

TEST(KeepStrongest, ZeroKeepsNothing) {
  std::vector<Peak> peaks{peak(1, 5), peak(2, 9)};
  EXPECT_EQ(keep_strongest(peaks, 0), 2U);
  EXPECT_TRUE(peaks.empty());
}

}  // namespace
}  // namespace peaknet::writer
