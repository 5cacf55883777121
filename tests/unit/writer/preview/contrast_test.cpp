#include "writer/preview/contrast.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kSize = 128;

// Counts around `level(y, x)` with a scatter of 5.
template <class Level>
std::vector<float> noisy(Level&& level) {
  std::mt19937 random(1);
  std::normal_distribution<float> noise(0, 5);
  std::vector<float> values;
  for (std::uint32_t y = 0; y < kSize; ++y) {
    for (std::uint32_t x = 0; x < kSize; ++x) values.push_back(level(y, x) + noise(random));
  }
  return values;
}

TEST(Contrast, APeakIsBlackAndTheGroundIsLight) {
  auto values = noisy([](auto, auto) { return 100.0F; });
  values[50 * kSize + 60] = 160;
  const Shades shades = shade(values, 1, kSize, kSize, 1);
  ASSERT_EQ(shades.grey.size(), values.size());
  EXPECT_EQ(shades.grey[50 * kSize + 60], 0);
  std::size_t light = 0;
  for (const auto grey : shades.grey) light += grey > 150 ? 1U : 0U;
  EXPECT_GT(light, values.size() * 99 / 100);
}

TEST(Contrast, AWeakPeakIsAsDarkOnABrightRingAsInADarkCorner) {
  auto values = noisy([](auto, auto x) { return x < kSize / 2 ? 20.0F : 2000.0F; });
  values[40 * kSize + 16] = 60;
  values[40 * kSize + 112] = 2040;
  const Shades shades = shade(values, 1, kSize, kSize, 1);
  EXPECT_LT(shades.grey[40 * kSize + 16], 120);
  EXPECT_LT(shades.grey[40 * kSize + 112], 120);
  EXPECT_NEAR(shades.lightest_ground, 20, 5);
  EXPECT_NEAR(shades.darkest_ground, 2000, 5);
}

TEST(Contrast, SinglePhotonsOnADarkPanelDoNotLookLikePeaks) {
  std::mt19937 random(2);
  std::vector<float> values(std::size_t{kSize} * kSize, 0);
  for (auto& value : values) {
    if (random() % 20 == 0) value = 25;  // one photon
  }
  values[64 * kSize + 64] = 300;
  const Shades shades = shade(values, 1, kSize, kSize, 1);
  EXPECT_EQ(shades.grey[64 * kSize + 64], 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 25) {
      ASSERT_GT(shades.grey[i], 128);
    }
  }
}

TEST(Contrast, WhatIsNoNumberIsWhiteAndSpoilsNothing) {
  auto values = noisy([](auto, auto) { return 100.0F; });
  values[5] = std::numeric_limits<float>::quiet_NaN();
  values[6] = std::numeric_limits<float>::infinity();
  values[50 * kSize + 60] = 160;
  const Shades shades = shade(values, 1, kSize, kSize, 1);
  EXPECT_EQ(shades.grey[5], 255);
  EXPECT_EQ(shades.grey[6], 255);
  EXPECT_EQ(shades.grey[50 * kSize + 60], 0);
}

TEST(Contrast, ImagesWithoutAnythingInThemAreWhite) {
  const std::vector<float> dark(70, 0);
  for (const auto grey : shade(dark, 1, 1, 70, 0).grey) EXPECT_EQ(grey, 255);
  const std::vector<float> broken(70, std::numeric_limits<float>::quiet_NaN());
  for (const auto grey : shade(broken, 7, 5, 2, 0).grey) EXPECT_EQ(grey, 255);
  EXPECT_TRUE(shade({}, 0, 0, 0, 1).grey.empty());
}

}  // namespace
}  // namespace peaknet::writer
