#include "daemon/kernels/pixel_math.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace peaknet::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A 16-bit float by the book: sign, `exponent_bits` of exponent with a bias, the rest mantissa.
double by_the_book(std::uint32_t bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const auto exponent = static_cast<int>((bits & 0x7fffU) >> mantissa_bits);
  const auto mantissa = static_cast<int>(bits & ((1U << mantissa_bits) - 1U));
  if (exponent == (1 << exponent_bits) - 1) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Half {
  const char* name;
  int exponent_bits;
  std::uint16_t (*to)(float);
  float (*from)(std::uint16_t);
  std::uint16_t infinity;
};
void PrintTo(const Half& half, std::ostream* out) { *out << half.name; }

class HalfFormat : public testing::TestWithParam<Half> {};
INSTANTIATE_TEST_SUITE_P(, HalfFormat,
                         testing::Values(Half{"float16", 5, to_float16, from_float16, 0x7c00},
                                         Half{"bfloat16", 8, to_bfloat16, from_bfloat16, 0x7f80}),
                         [](const auto& about) { return std::string(about.param.name); });

TEST_P(HalfFormat, every_one_of_65536_values_is_read_as_the_standard_says_and_survives_the_way_through_float) {
  const Half half = GetParam();
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half.from(static_cast<std::uint16_t>(bits));
    const double expected = by_the_book(bits, half.exponent_bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << std::hex << bits;
      ASSERT_TRUE(std::isnan(half.from(half.to(value)))) << std::hex << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << std::hex << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000U) != 0) << std::hex << bits;
    ASSERT_EQ(half.to(value), bits) << std::hex << bits;
  }
}

// Between each two neighbours: the float next to either, the middle and the floats next to it. Subnormals are among
// them.
TEST_P(HalfFormat, between_two_neighbours_the_nearer_wins_and_the_middle_goes_to_the_even_one) {
  const Half half = GetParam();
  for (std::uint32_t bits = 0; bits + 1 < half.infinity; ++bits) {
    const float low = half.from(static_cast<std::uint16_t>(bits));
    const float high = half.from(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2.0);
    const auto even = bits + (bits & 1U);
    const std::array<std::pair<float, std::uint32_t>, 5> cases = {{{std::nextafter(low, high), bits},
                                                                   {std::nextafter(middle, low), bits},
                                                                   {middle, even},
                                                                   {std::nextafter(middle, high), bits + 1},
                                                                   {std::nextafter(high, low), bits + 1}}};
    for (const auto& [value, expected] : cases) {
      ASSERT_EQ(half.to(value), expected) << value << " between " << low << " and " << high;
      ASSERT_EQ(half.to(-value), expected | 0x8000U) << -value << " between " << -high << " and " << -low;
    }
  }
}

TEST_P(HalfFormat, what_is_too_large_becomes_infinity_from_half_a_step_beyond_the_largest) {
  const Half half = GetParam();
  const auto largest_bits = static_cast<std::uint16_t>(half.infinity - 1);
  const auto largest = static_cast<double>(half.from(largest_bits));
  const double step = largest - static_cast<double>(half.from(static_cast<std::uint16_t>(largest_bits - 1)));
  const auto edge = static_cast<float>(largest + step / 2.0);
  EXPECT_EQ(half.to(std::nextafter(edge, 0.0F)), largest_bits);
  EXPECT_EQ(half.to(edge), half.infinity) << "a tie, and infinity is the even one";
  EXPECT_EQ(half.to(std::numeric_limits<float>::max()), half.infinity);
  EXPECT_EQ(half.to(kInfinity), half.infinity);
  EXPECT_EQ(half.to(-kInfinity), half.infinity | 0x8000U);
  EXPECT_EQ(half.from(half.infinity), kInfinity);
}

TEST_P(HalfFormat, what_is_too_small_becomes_zero_of_its_sign_from_half_the_smallest_down) {
  const Half half = GetParam();
  const float smallest = half.from(1);
  EXPECT_EQ(half.to(smallest), 1);
  EXPECT_EQ(half.to(smallest / 2.0F), 0) << "a tie, and zero is the even one";
  EXPECT_EQ(half.to(std::nextafter(smallest / 2.0F, 1.0F)), 1);
  EXPECT_EQ(half.to(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(half.to(-std::numeric_limits<float>::denorm_min()), 0x8000);
  EXPECT_EQ(half.to(-0.0F), 0x8000);
}

TEST_P(HalfFormat, a_nan_stays_one_also_when_its_payload_lies_in_the_bits_that_are_cut_off) {
  const Half half = GetParam();
  for (const std::uint32_t bits : {0x7f800001U, 0xff800001U, 0x7fc00000U, 0x7fffffffU, 0xffffffffU}) {
    const std::uint16_t converted = half.to(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(half.from(converted))) << std::hex << bits;
    EXPECT_EQ((converted & 0x8000U) != 0, (bits & 0x80000000U) != 0) << std::hex << bits;
  }
}

TEST(PixelMath, normalising_with_the_neutral_values_leaves_counts_as_they_are) {
  for (const float counts : {0.0F, 1.0F, 65535.0F, -32768.0F, 1e30F}) EXPECT_EQ(normalised(counts, {}), counts);
  EXPECT_EQ(normalised(10.0F, {.mean = 4.0F, .scale = 0.5F}), 3.0F);
}

// torch.argmax: the first of the largest; a NaN counts as the largest of all.
int argmax(const std::vector<float>& logits) {
  int best = 0;
  for (int k = 1; k < static_cast<int>(logits.size()); ++k) {
    const float a = logits[static_cast<std::size_t>(best)];
    const float b = logits[static_cast<std::size_t>(k)];
    if (!std::isnan(a) && (std::isnan(b) || b > a)) best = k;
  }
  return best;
}

TEST(PixelMath, class_1_wins_exactly_where_torch_argmax_is_1_for_every_mixture_of_special_values) {
  const std::array<float, 7> values = {-kInfinity, -1.0F, -0.0F, 0.0F, 1.0F, kInfinity, kNan};
  for (std::size_t classes = 2; classes <= 4; ++classes) {
    std::size_t combinations = 1;
    for (std::size_t k = 0; k < classes; ++k) combinations *= values.size();
    for (std::size_t choice = 0; choice < combinations; ++choice) {
      std::vector<float> logits;
      for (std::size_t k = 0, rest = choice; k < classes; ++k, rest /= values.size()) {
        logits.push_back(values[rest % values.size()]);
      }
      bool peak = peak_beats(logits[1], logits[0], 0);
      for (std::size_t k = 2; k < classes; ++k) peak = peak && peak_beats(logits[1], logits[k], static_cast<int>(k));
      ASSERT_EQ(peak, argmax(logits) == 1) << testing::PrintToString(logits);
    }
  }
}

TEST(PixelMath, equal_logits_go_to_the_lower_class) {
  EXPECT_FALSE(peak_beats(2.5F, 2.5F, 0));
  EXPECT_TRUE(peak_beats(2.5F, 2.5F, 2));
  EXPECT_FALSE(peak_beats(kNan, kNan, 0)) << "the first NaN wins";
  EXPECT_TRUE(peak_beats(kNan, kNan, 2));
}

}  // namespace
}  // namespace peaknet::kernels
