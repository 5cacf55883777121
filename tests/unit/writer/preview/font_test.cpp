#include "writer/preview/font.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace peaknet::writer {
namespace {

constexpr Rgb kPaper{255, 255, 255};
constexpr Rgb kInk{0, 0, 0};

std::vector<bool> drawn(char c, std::uint32_t scale = 1) {
  RgbImage picture(kTextAdvance * scale, kTextLine * scale, kPaper);
  draw_text(picture, 0, 0, scale, std::string(1, c), kInk);
  std::vector<bool> ink;
  for (std::uint32_t y = 0; y < picture.height(); ++y) {
    for (std::uint32_t x = 0; x < picture.width(); ++x) ink.push_back(picture.at(x, y) == kInk);
  }
  return ink;
}

TEST(Font, EveryPrintableCharacterLooksDifferent) {
  std::set<std::vector<bool>> shapes;
  for (char c = 32; c < 127; ++c) shapes.insert(drawn(c));
  EXPECT_EQ(shapes.size(), 95U);
  EXPECT_EQ(drawn(' '), std::vector<bool>(kTextAdvance * kTextLine, false));
}

TEST(Font, LeavesRoomBetweenCharactersAndLines) {
  for (char c = 32; c < 127; ++c) {
    const auto ink = drawn(c);
    for (std::uint32_t y = 0; y < kTextLine; ++y) EXPECT_FALSE(ink[y * kTextAdvance + kTextAdvance - 1]) << c;
    for (std::uint32_t x = 0; x < kTextAdvance; ++x) EXPECT_FALSE(ink[(kTextLine - 1) * kTextAdvance + x]) << c;
  }
}

TEST(Font, CharactersOutsideAsciiAreQuestionMarks) {
  EXPECT_EQ(drawn('\n'), drawn('?'));
  EXPECT_EQ(drawn('\x7f'), drawn('?'));
  EXPECT_EQ(drawn('\xc3'), drawn('?'));
}

TEST(Font, ScaleMakesEachDotASquare) {
  const auto once = drawn('R');
  const auto twice = drawn('R', 2);
  for (std::uint32_t y = 0; y < 2 * kTextLine; ++y) {
    for (std::uint32_t x = 0; x < 2 * kTextAdvance; ++x) {
      EXPECT_EQ(twice[y * 2 * kTextAdvance + x], once[y / 2 * kTextAdvance + x / 2]);
    }
  }
}

TEST(Font, TextBeyondTheEdgeIsCut) {
  RgbImage picture(10, 10, kPaper);
  draw_text(picture, -20, -3, 3, "WWWWWWWW", kInk);
  draw_text(picture, 5, 8, 3, "WWWWWWWW", kInk);
  EXPECT_EQ(picture.at(5, 9), kInk);
}

TEST(WrapLines, BreaksAtSpacesWhereThereAreAny) {
  EXPECT_EQ(wrap_lines({"run 12 event 4711"}, 8), (std::vector<std::string>{"run 12", "event", "4711"}));
  EXPECT_EQ(wrap_lines({"run 12 x"}, 8), (std::vector<std::string>{"run 12 x"}));
  EXPECT_EQ(wrap_lines({"abcdefghij k"}, 4), (std::vector<std::string>{"abcd", "efgh", "ij k"}));
  EXPECT_EQ(wrap_lines({"", "ab"}, 4), (std::vector<std::string>{"", "ab"}));
}

}  // namespace
}  // namespace peaknet::writer
