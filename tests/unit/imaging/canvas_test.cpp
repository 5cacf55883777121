#include "imaging/canvas.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace peaknet::imaging {
namespace {

constexpr Colour kPaper{255, 255, 255}, kInk{0, 0, 0}, kRed{255, 0, 0};

Canvas canvas_of(std::uint32_t width, std::uint32_t height) {
  auto canvas = Canvas::make(width, height, kPaper);
  EXPECT_TRUE(canvas) << canvas.error().text();
  return std::move(*canvas);
}

std::size_t dark(const Canvas& canvas, const Area& area) {
  std::size_t pixels = 0;
  for (auto y = static_cast<std::uint32_t>(area.top); y < area.bottom(); ++y) {
    for (auto x = static_cast<std::uint32_t>(area.left); x < area.right(); ++x) pixels += canvas.at(x, y).green < 128;
  }
  return pixels;
}

TEST(Canvas, a_patch_is_shown_pixel_by_pixel_enlarged_turned_and_cut_at_the_edge) {
  const std::vector<Colour> pixels = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}, {16, 17, 18}};
  Canvas canvas = canvas_of(20, 20);
  canvas.paint({pixels, 3, 2, {2, 3}, {1, 0}, {0, 1}});
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(canvas.at(2 + i % 3, 3 + i / 3), pixels[i]);
  EXPECT_EQ(canvas.at(1, 3), kPaper);
  EXPECT_EQ(canvas.at(5, 3), kPaper);
  canvas.paint({pixels, 3, 2, {8, 16}, {0, -4}, {4, 0}});  // columns upwards, four times
  EXPECT_EQ(canvas.at(8, 15), pixels[0]);
  EXPECT_EQ(canvas.at(11, 12), pixels[0]);
  EXPECT_EQ(canvas.at(12, 15), pixels[3]);
  EXPECT_EQ(canvas.at(8, 11), pixels[1]);
  canvas.paint({pixels, 3, 2, {-1, 19}, {1, 0}, {0, 1}});
  EXPECT_EQ(canvas.at(0, 19), pixels[1]);
  EXPECT_TRUE(canvas.status());
}

TEST(Canvas, letters_hang_below_the_base_line_where_they_should_and_differ) {
  constexpr double kSize = 14;
  const auto rows_with_ink = [](const std::string& text) {
    Canvas canvas = canvas_of(60, 30);
    canvas.draw_text({4, 4}, kSize, text, kInk);
    std::uint32_t last = 0;
    for (std::uint32_t y = 0; y < 30; ++y) {
      if (dark(canvas, {0, static_cast<double>(y), 60, 1}) > 0) last = y;
    }
    return last;
  };
  const auto base = rows_with_ink("x");
  EXPECT_GT(base, 0U);
  for (const char* text : {"g", "p", "q", "y"}) EXPECT_GT(rows_with_ink(text), base) << text;
  const Canvas measure = canvas_of(1, 1);
  EXPECT_GT(measure.text_width(kSize, "mm"), measure.text_width(kSize, "m"));
  EXPECT_GT(measure.line_height(kSize), kSize);
}

TEST(Canvas, text_of_any_bytes_is_drawn_and_breaks_nothing) {
  Canvas canvas = canvas_of(400, 40);
  const double question = canvas.text_width(14, "a?b");
  for (const std::string bytes : {"\xff", "\x80", "\xc1", "\n", "\x7f", "\x1b"})
    EXPECT_EQ(canvas.text_width(14, "a" + bytes + "b"), question) << "shown as ?";
  for (const std::string text : {"\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xf0\x80\x80\x80", "\xe0\x80\x80",
                                 "r\xc3\xb6ntgen", "3.5 \xc3\x85", "\xe6\x9d\xb1", ""})
    canvas.draw_text({2, 2}, 14, text, kInk, true);
  EXPECT_TRUE(canvas.status());
  EXPECT_GT(dark(canvas, {0, 0, 400, 40}), 0U);
}

TEST(Canvas, nothing_is_drawn_outside_of_a_clip_or_of_the_canvas) {
  Canvas canvas = canvas_of(50, 50);
  {
    const Canvas::Clip clip(canvas, {10, 10, 20, 20});
    canvas.draw_circle({20, 20}, 14, 3, kRed);
    canvas.fill({0, 0, 50, 15}, kInk);
  }
  for (std::uint32_t i = 0; i < 50; ++i) {
    EXPECT_EQ(canvas.at(i, 9), kPaper);
    EXPECT_EQ(canvas.at(i, 30), kPaper);
    EXPECT_EQ(canvas.at(9, i), kPaper);
    EXPECT_EQ(canvas.at(30, i), kPaper);
  }
  EXPECT_EQ(canvas.at(12, 12), kInk);
  canvas.draw_circle({-1e6, 1e6}, 1e6, 3, kRed);
  canvas.fill({-1e9, -1e9, 2e9, 2e9}, kRed);
  canvas.draw_line({-1e5, 25}, {1e5, 25}, 1, kInk);
  EXPECT_TRUE(canvas.status());
}

TEST(Canvas, a_circle_is_around_its_centre) {
  Canvas canvas = canvas_of(60, 60);
  canvas.draw_circle({30, 30}, 10, 2, kRed);
  for (const auto& [x, y] : {std::pair{39U, 29U}, {20U, 30U}, {30U, 39U}, {29U, 20U}})
    EXPECT_LT(canvas.at(x, y).green, 60) << x << "," << y;
  EXPECT_EQ(canvas.at(30, 30), kPaper);
  EXPECT_EQ(canvas.at(44, 30), kPaper);
}

TEST(Canvas, a_size_that_cannot_be_is_an_error_with_its_number) {
  const auto large = Canvas::make(Canvas::kLargestSide + 1, 10, kPaper);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().id, "picture.not-made");
  EXPECT_NE(large.error().text().find("32768 x 10"), std::string::npos) << large.error().text();
  EXPECT_FALSE(Canvas::make(std::numeric_limits<std::uint32_t>::max(), 10, kPaper));
}

}  // namespace
}  // namespace peaknet::imaging
