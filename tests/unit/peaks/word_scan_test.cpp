#include "peaks/word_scan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace peaknet::writer {
namespace {

TEST(WordScan, PlainIsAlwaysThereAndTheBestIsTheLastOfTheList) {
  const auto levels = available_simd_levels();
  ASSERT_FALSE(levels.empty());
  EXPECT_EQ(levels.front(), SimdLevel::plain);
  EXPECT_EQ(levels.back(), best_simd_level());
}

TEST(WordScan, EveryLevelFindsASingleWordWhereverItIs) {
  constexpr std::size_t kWords = 150;
  for (const SimdLevel level : available_simd_levels()) {
    const NextNonzeroWord next = next_nonzero_word(level);
    for (std::size_t set = 0; set < kWords; ++set) {
      std::vector<std::uint64_t> words(kWords, 0);
      words[set] = std::uint64_t{1} << (set % 64);
      for (std::size_t begin = 0; begin < kWords; ++begin) {
        ASSERT_EQ(next(words.data(), begin, kWords), begin <= set ? set : kWords)
            << name(level) << " set " << set << " begin " << begin;
      }
    }
  }
}

TEST(WordScan, NothingBehindTheEndIsLookedAt) {
  for (const SimdLevel level : available_simd_levels()) {
    const NextNonzeroWord next = next_nonzero_word(level);
    for (std::size_t end = 0; end <= 64; ++end) {
      std::vector<std::uint64_t> words(100, 7);
      EXPECT_EQ(next(words.data(), end, end), end) << name(level);
      std::fill_n(words.begin(), end, 0);
      EXPECT_EQ(next(words.data(), 0, end), end) << name(level);
    }
  }
}

TEST(WordScan, AllLevelsAgreeOnRandomWords) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint64_t> words(random() % 300, 0);
    const std::size_t hits = random() % 6;
    for (std::size_t i = 0; i < hits && !words.empty(); ++i) words[random() % words.size()] = random();
    const NextNonzeroWord plain = next_nonzero_word(SimdLevel::plain);
    for (const SimdLevel level : available_simd_levels()) {
      const NextNonzeroWord next = next_nonzero_word(level);
      for (std::size_t at = 0; at <= words.size(); ++at) {
        ASSERT_EQ(next(words.data(), at, words.size()), plain(words.data(), at, words.size())) << name(level);
      }
    }
  }
}

}  // namespace
}  // namespace peaknet::writer
