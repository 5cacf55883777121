// The fast peak finder equals the slow, obvious one on any mask.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "frames.hpp"
#include "peaks/peak_finder.hpp"
#include "slow_peaks.hpp"

namespace peaknet::writer {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  std::uint64_t bits() { return engine_(); }
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

// Mostly small, now and then the largest: 1..most.
std::uint32_t random_side(Random& random, std::uint32_t most) {
  if (random.below(50) == 0) return most;
  const double u = random.unit();
  return 1 + static_cast<std::uint32_t>(u * u * u * (most - 1));
}

test::TestFrame random_frame(Random& random) {
  test::TestFrame frame;
  const bool tall = random.below(2) == 0;
  frame.panels = 1 + random.below(3);
  frame.height = random_side(random, tall ? 257 : 129);
  frame.width = random_side(random, tall ? 129 : 257);
  frame.classes.assign(std::size_t{frame.panels} * frame.height * frame.width, 0);
  switch (random.below(3)) {
    case 0: {  // noise of any density
      const double density = random.unit();
      for (auto& c : frame.classes) c = random.unit() < density ? 1 : 0;
      break;
    }
    case 1: {  // sparse noise: many small components
      const double density = random.unit() * 0.1;
      for (auto& c : frame.classes) c = random.unit() < density ? 1 : static_cast<std::uint8_t>(2 * random.below(2));
      break;
    }
    default: {  // bars, lying and standing: long arms that meet late
      const std::uint32_t bars = random.below(60);
      for (std::uint32_t i = 0; i < bars; ++i) {
        const std::size_t panel = random.below(frame.panels);
        const std::uint32_t y = random.below(frame.height);
        const std::uint32_t x = random.below(frame.width);
        const bool lying = random.below(2) == 0;
        const std::uint32_t length = random.below(40);
        for (std::uint32_t k = 0; k <= length; ++k) {
          const std::uint32_t py = lying ? y : y + k;
          const std::uint32_t px = lying ? x + k : x;
          if (py < frame.height && px < frame.width) {
            frame.classes[(panel * frame.height + py) * frame.width + px] = 1;
          }
        }
      }
    }
  }
  frame.pack();
  const std::uint64_t padding = ~mask_tail(frame.width);
  for (std::size_t row = 1; row <= std::size_t{frame.panels} * frame.height; ++row) {
    frame.words[row * mask_words_per_row(frame.width) - 1] |= random.bits() & padding;
  }
  return frame;
}

TEST(RandomMasks, TenThousandEqualTheSlowWay) {
  Random random(20261121);
  PeakFinder finder({.max_components = 100'000});
  std::vector<Peak> peaks;
  std::vector<std::uint16_t> unsigned_pixels;
  std::vector<std::int16_t> signed_pixels;
  std::vector<float> float_pixels;
  std::size_t all_peaks = 0;
  for (int round = 0; round < 10'000; ++round) {
    const test::TestFrame frame = random_frame(random);
    MaskView mask = frame.mask();
    if (random.below(2) == 0) {
      mask.valid_height = random.below(frame.height + 10);
      mask.valid_width = random.below(frame.width + 10);
    }
    std::vector<std::uint64_t> bad;
    if (random.below(3) == 0) {  // single ones, and gaps of rows
      bad.resize(mask.panels * mask.words_per_panel());
      const std::uint64_t density = random.below(7);
      for (auto& word : bad) {
        word = random.bits();
        for (std::uint64_t i = 0; i < density; ++i) word &= random.bits();
      }
      for (std::uint32_t i = 0; i < random.below(4); ++i)
        bad[random.below(static_cast<std::uint32_t>(bad.size()))] = ~0U;
      mask.bad = bad.data();
    }
    ImageView image;
    const std::size_t count = frame.classes.size();
    switch (random.below(4)) {
      case 0:
        break;
      case 1:
        unsigned_pixels.resize(count);
        for (auto& pixel : unsigned_pixels) pixel = static_cast<std::uint16_t>(random.bits() >> random.below(16));
        image = {unsigned_pixels.data(), PixelType::uint16};
        break;
      case 2:
        signed_pixels.resize(count);
        for (auto& pixel : signed_pixels)
          pixel = random.below(100) == 0 ? std::int16_t{-32768} : static_cast<std::int16_t>(random.bits());
        image = {signed_pixels.data(), PixelType::int16};
        break;
      default:
        float_pixels.resize(count);
        for (auto& pixel : float_pixels) pixel = static_cast<float>(random.unit() * 1000);
        if (random.below(4) == 0) {
          float_pixels[random.below(static_cast<std::uint32_t>(count))] = std::numeric_limits<float>::quiet_NaN();
          float_pixels[random.below(static_cast<std::uint32_t>(count))] = std::numeric_limits<float>::infinity();
          for (std::size_t i = 0; i < count; i += 1 + random.below(40)) float_pixels[i] = -2147483648.0F;
        }
        image = {float_pixels.data(), PixelType::float32};
    }

    const PeakSearch search = finder.find(mask, image, peaks);
    const test::SlowSearch slow = test::slow_find(mask, image);
    const std::string where = "round " + std::to_string(round) + ": " + std::to_string(frame.panels) + " x " +
                              std::to_string(frame.height) + " x " + std::to_string(frame.width);
    ASSERT_FALSE(search.too_many) << where;
    ASSERT_EQ(search.components, slow.components) << where;
    ASSERT_EQ(search.dropped_outside, slow.dropped_outside) << where;
    ASSERT_EQ(test::difference(peaks, slow.peaks, image.type != PixelType::float32), "") << where;
    all_peaks += peaks.size();
  }
  EXPECT_GT(all_peaks, 100'000U);
}

}  // namespace
}  // namespace peaknet::writer
