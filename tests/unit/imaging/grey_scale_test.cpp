#include "imaging/grey_scale.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace peaknet::imaging {
namespace {

TEST(GreyScale, goes_from_the_first_percentile_to_the_999th_and_the_bar_says_these) {
  std::vector<float> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(static_cast<float>(i * 10));
  std::shuffle(values.begin(), values.end(), std::mt19937(1));
  const GreyScale scale = grey_scale(values);
  EXPECT_EQ(scale.low, 100);
  EXPECT_EQ(scale.high, 9990);
  const auto marks = bar_marks(scale);
  ASSERT_GE(marks.size(), 2U);
  EXPECT_EQ(marks.front().text, "100 (1 %)");
  EXPECT_EQ(marks.front().share, 0);
  EXPECT_EQ(marks.back().text, "9990 (99.9 %)");
  EXPECT_EQ(marks.back().share, 1);
  for (const BarMark& mark : marks) {
    const float value = scale.low + static_cast<float>(mark.share) * (scale.high - scale.low);
    EXPECT_NEAR(std::stof(mark.text), value, 0.5) << "a mark says what its grey shows";
    EXPECT_NEAR(scale.grey(value), 255 * (1 - mark.share), 1);
  }
}

TEST(GreyScale, the_bar_writes_sums_in_digits) {
  EXPECT_EQ(bar_marks({true, 0, 13080, false}).back().text, "13080 (99.9 %)");
  EXPECT_EQ(bar_marks({true, 0, 0.25F, false}).back().text, "0.25 (99.9 %)");
  EXPECT_EQ(bar_marks({true, 0, 2e9F, false}).back().text, "2e+09 (99.9 %)");
}

TEST(GreyScale, is_a_straight_line) {
  const GreyScale scale{true, 100, 200, false};
  EXPECT_EQ(scale.grey(-5), 255);
  EXPECT_EQ(scale.grey(100), 255);
  EXPECT_EQ(scale.grey(150), 128);
  EXPECT_EQ(scale.grey(200), 0);
  EXPECT_EQ(scale.grey(65535), 0);
}

TEST(GreyScale, one_saturated_pixel_changes_nothing) {
  std::mt19937 random(2);
  std::poisson_distribution<int> counts(20);
  std::vector<float> values(100'000);
  for (float& value : values) value = static_cast<float>(counts(random));
  const GreyScale without = grey_scale(values);
  values[77] = 65535;
  const GreyScale with = grey_scale(values);
  EXPECT_EQ(with.low, without.low);
  EXPECT_EQ(with.high, without.high);
}

TEST(GreyScale, some_peaks_on_a_dark_image_are_shown_up_to_the_largest) {
  std::vector<float> values(100'000, 0);
  values[5] = 12;
  values[6] = 400;
  const GreyScale scale = grey_scale(values);
  EXPECT_EQ(scale.low, 0);
  EXPECT_EQ(scale.high, 400);
  EXPECT_EQ(bar_marks(scale).back().text, "400 (largest)");
}

TEST(GreyScale, equal_values_are_white_and_the_bar_has_one_mark) {
  const GreyScale scale = grey_scale(std::vector<float>(50, 7));
  EXPECT_EQ(scale.grey(7), 255);
  ASSERT_EQ(bar_marks(scale).size(), 1U);
  EXPECT_EQ(bar_marks(scale)[0].text.substr(0, 2), "7 ");
}

TEST(GreyScale, negative_values_and_the_whole_range_of_a_float_are_values) {
  const GreyScale scale = grey_scale(std::vector<float>{-300, -200, -100});
  EXPECT_EQ(scale.low, -300);
  EXPECT_EQ(scale.high, -100);
  EXPECT_EQ(scale.grey(-200), 128);
  constexpr float kMost = std::numeric_limits<float>::max();
  EXPECT_NEAR(grey_scale(std::vector<float>{-kMost, kMost}).grey(0), 128, 1);
}

TEST(GreyScale, what_is_no_number_is_not_looked_at) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  const GreyScale scale = grey_scale(std::vector<float>{kNan, 1, kInf, 2, -kInf});
  EXPECT_EQ(scale.low, 1);
  EXPECT_EQ(scale.high, 2);
  EXPECT_FALSE(grey_scale(std::vector<float>{kNan, kInf}).any);
  EXPECT_TRUE(bar_marks(grey_scale({})).empty());
}

}  // namespace
}  // namespace peaknet::imaging
