#include "feed/sequence_gaps.hpp"

#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

TEST(SequenceGaps, ASourceThatCountsAloneIsMissingWhatItLeftOut) {
  SequenceGaps gaps;
  for (const std::uint64_t n : {7U, 8U, 9U, 12U, 13U}) gaps.saw("run 1", n);
  for (const std::uint64_t n : {0U, 1U, 3U}) gaps.saw("run 2", n);
  EXPECT_EQ(gaps.at_end().missing, 3U);
  EXPECT_EQ(gaps.so_far().missing, 0U);  // they may still be on their way
  EXPECT_EQ(gaps.at_end().unclear, 0U);
}

TEST(SequenceGaps, WhatComesLateIsNotMissing) {
  SequenceGaps gaps;
  for (const std::uint64_t n : {1U, 3U, 2U, 6U, 4U, 5U, 0U}) gaps.saw("run", n);
  EXPECT_EQ(gaps.at_end().missing, 0U);
  EXPECT_EQ(gaps.at_end().unclear, 0U);
}

TEST(SequenceGaps, HolesAreCountedOnceAlsoAfterManyMoreMessages) {
  SequenceGaps gaps;
  std::uint64_t left_out = 0;
  for (std::uint64_t n = 0; n < 50'000; ++n) {
    if (n % 100 == 50 || (n > 20'000 && n < 25'000)) {
      ++left_out;
    } else {
      gaps.saw("run", n);
    }
  }
  EXPECT_EQ(gaps.at_end().missing, left_out);
  EXPECT_LE(gaps.so_far().missing, left_out);
  EXPECT_GE(gaps.so_far().missing, left_out - SequenceGaps::kSettling);
}

TEST(SequenceGaps, NumbersThatRepeatTellNothingAndNothingIsSaid) {
  SequenceGaps gaps;
  for (int i = 0; i < 3; ++i) gaps.saw("the main branch", 1);
  for (const std::uint64_t n : {0U, 5U, 0U, 1U}) gaps.saw("two ranks", n);
  gaps.saw("a flipped bit", 3);
  gaps.saw("a flipped bit", std::uint64_t{1} << 62);
  gaps.saw("starts again", 100'000);
  gaps.saw("starts again", 0);
  EXPECT_EQ(gaps.at_end().missing, 0U);
  EXPECT_EQ(gaps.at_end().unclear, 4U);
}

TEST(SequenceGaps, ManyRunsTakeNoMoreMemoryAndLoseNoCount) {
  SequenceGaps gaps;
  for (std::uint64_t run = 0; run < 4 * SequenceGaps::kMostSources; ++run) {
    gaps.saw(std::to_string(run), 1);
    gaps.saw(std::to_string(run), 3);
  }
  EXPECT_EQ(gaps.at_end().missing, 4 * SequenceGaps::kMostSources);
}

TEST(SequenceGaps, NamesOfTheFileHandlerHaveTheirRankAndNumber) {
  std::string source;
  std::uint64_t number = 0;
  ASSERT_TRUE(numbered_name("/data/run 12/mfx_r3_00017.npz", source, number));
  EXPECT_EQ(source, "/data/run 12/mfx_r3");
  EXPECT_EQ(number, 17U);
  ASSERT_TRUE(numbered_name("r0_1.h5", source, number));
  EXPECT_EQ(source, "r0");
  for (const char* other : {"mfx_3_17.npz", "mfx_r3_.npz", "mfx_r3_17", "run12.cxi", "detector_17.npz", "/a.b/r1_2",
                            "x_r1_99999999999999999999.npz"})
    EXPECT_FALSE(numbered_name(other, source, number)) << other;
}

}  // namespace
}  // namespace peaknet::feed
