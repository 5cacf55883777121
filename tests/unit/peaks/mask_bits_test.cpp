#include "peaks/mask_bits.hpp"

#include <gtest/gtest.h>

#include <random>

#include "peaks/frame_view.hpp"

namespace peaknet::writer {
namespace {

TEST(MaskBits, LowestBitIsTheFirstPixelAndARowBeginsWithANewWord) {
  std::vector<std::uint8_t> classes(2 * 65, 0);
  classes[0] = 1;
  classes[63] = 1;
  classes[64] = 1;   // first row, second word
  classes[65] = 1;   // second row
  classes[129] = 1;  // second row, second word
  std::vector<std::uint64_t> words;
  pack_mask(classes, 1, 2, 65, words);
  ASSERT_EQ(words.size(), 4U);
  EXPECT_EQ(words[0], 0x8000000000000001U);
  EXPECT_EQ(words[1], 1U);
  EXPECT_EQ(words[2], 1U);
  EXPECT_EQ(words[3], 1U);
}

TEST(MaskBits, OnlyClassOneIsPeak) {
  const std::vector<std::uint8_t> classes{0, 1, 2, 3, 255};
  std::vector<std::uint64_t> words;
  pack_mask(classes, 1, 1, 5, words);
  EXPECT_EQ(words[0], 2U);
}

TEST(MaskBits, UnpackingGivesBackWhatWasPackedWhateverThePaddingHolds) {
  std::mt19937 random(3);
  for (std::uint32_t width = 1; width < 140; ++width) {
    std::vector<std::uint8_t> classes(std::size_t{3} * 2 * width);
    for (auto& c : classes) c = static_cast<std::uint8_t>(random() % 2);
    std::vector<std::uint64_t> words;
    pack_mask(classes, 3, 2, width, words);
    ASSERT_EQ(words.size(), 6 * mask_words_per_row(width));
    for (std::size_t row = 0; row < 6; ++row) {
      std::uint64_t& last = words[(row + 1) * mask_words_per_row(width) - 1];
      EXPECT_EQ(last & ~mask_tail(width), 0U);
      last |= ~mask_tail(width);
    }
    std::vector<std::uint8_t> back;
    unpack_mask(words, 3, 2, width, back);
    EXPECT_EQ(back, classes);
  }
}

}  // namespace
}  // namespace peaknet::writer
