// Pixels that are no numbers, and numbers that the network's type does not hold: one of them does not take the event.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/pixel_type.hpp"
#include "daemon/kernels/reference_kernels.hpp"

namespace peaknet::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr std::uint32_t kHeight = 9, kWidth = 70, kPixels = kHeight * kWidth, kPadded = 12 * 80;

// Two events of float32 in the middle of their padding.
class OddPixels : public ::testing::Test {
 protected:
  OddPixels() : events(2, std::vector<float>(kPixels)) {
    for (std::uint32_t i = 0; i < kPixels; ++i)
      for (auto& event : events) event[i] = 90.0F + static_cast<float>(i * 37 % 23);
  }
  void fill(Element element = Element::float32) {
    layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
    layout.panels = 1;
    layout.height = kHeight;
    layout.width = kWidth;
    layout.padded_height = 12;
    layout.padded_width = 80;
    layout.top = layout.left = 1;
    input.assign(2 * kPadded * sizeof(float), std::byte{0});
    odd.assign(2, 77);
    const std::byte* at[] = {reinterpret_cast<const std::byte*>(events[0].data()),
                             reinterpret_cast<const std::byte*>(events[1].data())};
    std::uint64_t* words[] = {&odd[0], &odd[1]};
    ReferenceKernels().before(layout, at, 2, contiguous(input.data(), element, 2, 1, 12, 80), words, nullptr);
  }
  template <class Stored>
  std::vector<Stored> of(std::size_t event) const {
    const auto* first = reinterpret_cast<const Stored*>(input.data()) + event * kPadded;
    return {first, first + kPadded};
  }

  FrameLayout layout;
  std::vector<std::vector<float>> events;
  std::vector<std::byte> input;
  std::vector<std::uint64_t> odd;
};

using Numbers = std::vector<std::uint64_t>;

TEST_F(OddPixels, are_bad_pixels_before_the_norm_and_counted) {
  for (const bool normalise : {false, true}) {
    layout.normalise = normalise;
    for (const float value : {std::nanf(""), kInfinity, -kInfinity}) {
      events[0][3] = events[0][kPixels - 1] = events[0][64] = value;
      events[1][3] = events[1][kPixels - 1] = events[1][64] = 0.0F;
      fill();
      EXPECT_EQ(odd, (Numbers{3, 0})) << value;
      EXPECT_EQ(of<float>(0), of<float>(1)) << "as if they were 0";
      for (const float x : of<float>(0)) ASSERT_TRUE(std::isfinite(x)) << value << (normalise ? ", normalised" : "");
    }
  }
}

TEST_F(OddPixels, that_are_known_as_bad_are_not_told_again_and_what_calibration_makes_odd_is) {
  std::vector<std::uint8_t> bad(kPixels);
  std::vector<float> gain(kPixels, 1.0F);
  events[0][5] = std::nanf("");
  bad[5] = 1;
  events[0][6] = events[1][6] = 1e30F;
  gain[6] = 1e30F;
  layout.calibration = {nullptr, gain.data(), bad.data()};
  layout.normalise = true;
  fill();
  EXPECT_EQ(odd, (Numbers{1, 1}));
  for (const float x : of<float>(0)) ASSERT_TRUE(std::isfinite(x));
}

TEST_F(OddPixels, no_number_becomes_infinite_in_a_short_format) {
  for (const float value : {65535.0F, 65520.0F, -70000.0F, kLargest, -kLargest}) {
    events[0][3] = value;
    fill(Element::float16);
    for (const auto x : of<std::uint16_t>(0)) ASSERT_TRUE(is_finite(from_float16(x))) << value;
    EXPECT_EQ(from_float16(of<std::uint16_t>(0)[80 + 1 + 3]), std::copysign(65504.0F, value));
    fill(Element::bfloat16);
    for (const auto x : of<std::uint16_t>(0)) ASSERT_TRUE(is_finite(from_bfloat16(x))) << value;
    EXPECT_EQ(odd, (Numbers{0, 0})) << "a number all the same";
  }
}

TEST_F(OddPixels, an_event_of_nothing_else_is_all_padding) {
  events[0].assign(kPixels, std::nanf(""));
  layout.normalise = true;
  fill(Element::bfloat16);
  EXPECT_EQ(odd, (Numbers{kPixels, 0}));
  EXPECT_EQ(of<std::uint16_t>(0), std::vector<std::uint16_t>(kPadded, 0));
}

}  // namespace
}  // namespace peaknet::kernels
