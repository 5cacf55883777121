#include "daemon/kernels/sum_order.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/pixel_type.hpp"
#include "daemon/kernels/reference_kernels.hpp"

namespace peaknet::kernels {
namespace {

TEST(SumOrder, parts_hold_each_pixel_once_and_begin_at_a_multiple_of_the_lanes) {
  for (const std::uint64_t pixels : {0U, 1U, 255U, 256U, 65535U, 65536U, 65537U, 1000000U, 1U << 30U}) {
    std::uint64_t reached = 0;
    for (std::uint32_t part = 0; part < kSumParts; ++part) {
      const PixelSpan span = part_of(pixels, part);
      EXPECT_EQ(span.begin, reached);
      EXPECT_TRUE(span.begin % kSumLanes == 0 || span.begin == pixels);
      reached = span.end;
    }
    EXPECT_EQ(reached, pixels);
  }
}

// The description of sum_order.hpp, word by word.
double folded(std::vector<double> values) {
  while (values.size() > 1) {
    const std::size_t half = values.size() / 2;
    for (std::size_t i = 0; i < half; ++i) values[i] += values[half + i];
    values.resize(half);
  }
  return values.front();
}
double described(const std::vector<float>& pixels) {
  std::vector<double> parts;
  for (std::uint32_t part = 0; part < kSumParts; ++part) {
    std::vector<double> lanes(kSumLanes, 0.0);
    const PixelSpan span = part_of(pixels.size(), part);
    for (std::uint64_t i = span.begin; i < span.end; ++i) lanes[(i - span.begin) % kSumLanes] += pixels[i];
    parts.push_back(folded(lanes));
  }
  return folded(parts);
}

TEST(SumOrder, pixels_that_cancel_have_the_mean_of_this_order_and_no_other) {
  std::mt19937 random(1);
  for (const std::uint32_t width : {1U, 7U, 256U, 1000U, 70000U, 200001U}) {
    std::vector<float> pixels(width);
    for (float& pixel : pixels) {
      pixel = (random() % 2 == 0 ? 1.0F : -1.0F) * (random() % 3 == 0 ? 3e37F : random() % 2 == 0 ? 1e20F : 7.0F);
    }
    FrameLayout layout;
    layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
    layout.panels = layout.height = layout.padded_height = 1;
    layout.width = layout.padded_width = width;
    const auto normal = normalisation_of(layout, reinterpret_cast<const std::byte*>(pixels.data()));
    EXPECT_EQ(normal.mean, static_cast<float>(described(pixels) / width)) << width;
  }
}

}  // namespace
}  // namespace peaknet::kernels
