#include "peaks/local_ring.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "frames.hpp"
#include "peaks/peak_finder.hpp"

namespace peaknet::writer {
namespace {

// A 3 x 3 peak of 100 a pixel in the middle of a checkered background of 4 and 6: mean 5, deviation 1.
constexpr std::uint32_t kSize = 21;
bool in_peak(std::uint32_t y, std::uint32_t x) { return y >= 9 && y <= 11 && x >= 9 && x <= 11; }

template <class Pixel>
std::vector<Pixel> checkered() {
  std::vector<Pixel> pixels;
  for (std::uint32_t y = 0; y < kSize; ++y) {
    for (std::uint32_t x = 0; x < kSize; ++x)
      pixels.push_back(static_cast<Pixel>(in_peak(y, x) ? 100 : (x + y) % 2 == 0 ? 4 : 6));
  }
  return pixels;
}

template <class Pixel>
double snr_of_single_peak(const test::TestFrame& frame, const std::vector<Pixel>& pixels, PixelType type,
                          std::uint32_t valid_height = kSize) {
  PeakFinder finder;
  std::vector<Peak> peaks;
  MaskView mask = frame.mask();
  mask.valid_height = valid_height;
  finder.find(mask, {pixels.data(), type}, peaks);
  return peaks.empty() ? std::numeric_limits<double>::quiet_NaN() : peaks.front().snr;
}

const double kExpected = (900 - 9 * 5) / (1 * std::sqrt(9.0));

TEST(LocalRing, IsTheSignalAboveTheRingOverItsNoise) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  EXPECT_NEAR(snr_of_single_peak(frame, checkered<std::uint16_t>(), PixelType::uint16), kExpected, 1e-9);
  EXPECT_NEAR(snr_of_single_peak(frame, checkered<std::int16_t>(), PixelType::int16), kExpected, 1e-9);
  EXPECT_NEAR(snr_of_single_peak(frame, checkered<float>(), PixelType::float32), kExpected, 1e-9);
}

TEST(LocalRing, LeavesOutBadPixelsAndThoseWithoutACount) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  std::vector<std::uint64_t> bad(kSize);
  auto counts = checkered<std::uint16_t>();
  auto lows = checkered<std::int16_t>();
  auto floats = checkered<float>();
  // A gap above and a hot pixel beside the peak, as many of 4 as of 6: the ring's mean and deviation stay.
  for (const auto& [y, x] : {std::pair{6U, 7U}, {6U, 8U}, {6U, 9U}, {6U, 10U}, {10U, 13U}, {10U, 14U}}) {
    bad[y] |= std::uint64_t{1} << x;
    counts[y * kSize + x] = 65535;
    lows[y * kSize + x] = -32768;
    floats[y * kSize + x] = -2147483648.0F;
  }
  MaskView mask = frame.mask();
  mask.bad = bad.data();
  std::vector<Peak> peaks;
  PeakFinder().find(mask, {counts.data(), PixelType::uint16}, peaks);
  EXPECT_NEAR(peaks.at(0).snr, kExpected, 1e-9);
  EXPECT_NEAR(snr_of_single_peak(frame, lows, PixelType::int16), kExpected, 1e-9);
  EXPECT_NEAR(snr_of_single_peak(frame, floats, PixelType::float32), kExpected, 1e-9);
}

TEST(LocalRing, LeavesOutThePixelNextToTheBoxAndThoseBeyondTheRing) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  auto pixels = checkered<std::uint16_t>();
  for (std::uint32_t y = 0; y < kSize; ++y) {
    for (std::uint32_t x = 0; x < kSize; ++x) {
      const bool next_to_box = y >= 8 && y <= 12 && x >= 8 && x <= 12 && !in_peak(y, x);
      const bool beyond = y < 6 || y > 14 || x < 6 || x > 14;
      if (next_to_box || beyond) pixels[y * kSize + x] = 60000;
    }
  }
  EXPECT_NEAR(snr_of_single_peak(frame, pixels, PixelType::uint16), kExpected, 1e-9);
}

TEST(LocalRing, LeavesOutPixelsOfOtherPeaks) {
  // The neighbour takes one light and one dark pixel out of the ring: mean and deviation stay.
  const auto frame =
      test::draw(kSize, kSize, [](auto y, auto x) { return in_peak(y, x) || (y == 14 && (x == 9 || x == 10)); });
  auto pixels = checkered<std::uint16_t>();
  pixels[14 * kSize + 9] = 30000;
  pixels[14 * kSize + 10] = 30000;
  EXPECT_NEAR(snr_of_single_peak(frame, pixels, PixelType::uint16), kExpected, 1e-9);
}

TEST(LocalRing, LeavesOutPaddingAndPixelsThatAreNoNumbers) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  auto pixels = checkered<float>();
  for (std::uint32_t x = 0; x < kSize; ++x) {
    pixels[13 * kSize + x] = 0;
    pixels[14 * kSize + x] = 0;
  }
  pixels[6 * kSize + 6] = std::numeric_limits<float>::quiet_NaN();
  pixels[6 * kSize + 7] = std::numeric_limits<float>::infinity();
  EXPECT_NEAR(snr_of_single_peak(frame, pixels, PixelType::float32, 13), kExpected, 0.5);
  EXPECT_LT(snr_of_single_peak(frame, pixels, PixelType::float32), kExpected / 1.5)
      << "with the padding taken as image";
}

TEST(LocalRing, AQuietRingOfCountsHasTheNoiseOfRounding) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  const auto pixels = [] {
    std::vector<std::uint16_t> dark(kSize * kSize, 0);
    for (std::uint32_t i = 9; i <= 11; ++i) dark[10 * kSize + i] = 2;
    return dark;
  }();
  EXPECT_NEAR(snr_of_single_peak(frame, pixels, PixelType::uint16), 6 / (std::sqrt(1.0 / 12) * 3), 1e-9);
}

TEST(LocalRing, AQuietRingOfFloatsCannotBeMeasured) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  std::vector<float> pixels(kSize * kSize, 0.1F);
  pixels[10 * kSize + 10] = 50;
  EXPECT_EQ(snr_of_single_peak(frame, pixels, PixelType::float32), 0);
}

TEST(LocalRing, ALargePedestalDoesNotHideTheNoise) {
  const auto frame = test::draw(kSize, kSize, in_peak);
  auto pixels = checkered<float>();
  for (float& pixel : pixels) pixel += 1e7F;
  EXPECT_NEAR(snr_of_single_peak(frame, pixels, PixelType::float32), kExpected, 1e-6);
}

TEST(LocalRing, TooFewPixelsAroundAPeakCannotBeMeasured) {
  const auto frame = test::draw("..#");
  const std::vector<std::uint16_t> pixels{1, 2, 100};
  EXPECT_EQ(snr_of_single_peak(frame, pixels, PixelType::uint16, 1), 0);
}

TEST(LocalRing, NothingIsLocalAboutAHugeBox) {
  std::vector<std::uint16_t> pixels(std::size_t{100} * 100, 3);
  const auto bar = [](std::uint32_t length) {
    return test::draw(100, 100, [length](auto y, auto x) { return y == 50 && x >= 10 && x < 10 + length; });
  };
  pixels[50 * 100 + 20] = 500;
  EXPECT_GT(snr_of_single_peak(bar(kRingMaxBox), pixels, PixelType::uint16, 100), 0);
  EXPECT_EQ(snr_of_single_peak(bar(kRingMaxBox + 1), pixels, PixelType::uint16, 100), 0);
}

}  // namespace
}  // namespace peaknet::writer
