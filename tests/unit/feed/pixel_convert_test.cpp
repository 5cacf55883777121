#include "feed/pixel_convert.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/unit/feed/files.hpp"

namespace peaknet::feed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Number>
constexpr SampleType type_of() {
  if constexpr (std::is_integral_v<Number>) return *integer_type(sizeof(Number), std::is_signed_v<Number>);
  return *float_type(sizeof(Number));
}

template <class To, class From>
struct Converted {
  std::vector<To> values;
  Conversion conversion;
};

template <class To, class From>
Converted<To, From> convert(const std::vector<From>& from, PixelType to, Narrowing narrowing = Narrowing::refuse,
                            const std::vector<std::uint8_t>& bad = {}) {
  // From an odd address: messages are not aligned.
  std::vector<std::byte> bytes(from.size() * sizeof(From) + 1);
  std::memcpy(bytes.data() + 1, from.data(), from.size() * sizeof(From));
  Converted<To, From> result{std::vector<To>(from.size()), {}};
  result.conversion =
      convert_pixels(bytes.data() + 1, type_of<From>(), reinterpret_cast<std::byte*>(result.values.data()), to,
                     from.size(), narrowing, bad);
  return result;
}

TEST(PixelConvert, CountsThatFitAreConvertedWhateverTheirType) {
  const auto a = convert<std::uint16_t>(std::vector<std::int32_t>{0, 1, 65535}, PixelType::uint16);
  EXPECT_FALSE(a.conversion.misfit);
  EXPECT_THAT(a.values, ElementsAre(0, 1, 65535));
  const auto b = convert<std::int16_t>(std::vector<double>{-32768.0, 0.0, -0.0, 32767.0}, PixelType::int16);
  EXPECT_FALSE(b.conversion.misfit);
  EXPECT_THAT(b.values, ElementsAre(-32768, 0, 0, 32767));
  const auto c = convert<float>(std::vector<std::int64_t>{-5, 16777216, std::int64_t{1} << 40}, PixelType::float32);
  EXPECT_FALSE(c.conversion.misfit);
  EXPECT_THAT(c.values, ElementsAre(-5.0F, 16777216.0F, 1099511627776.0F));
  const auto d = convert<std::int16_t>(std::vector<std::uint8_t>{255}, PixelType::int16);
  EXPECT_THAT(d.values, ElementsAre(255));
}

template <class From>
std::optional<std::size_t> misfit(const std::vector<From>& values, PixelType to,
                                  Narrowing narrowing = Narrowing::refuse) {
  if (to == PixelType::uint16) return convert<std::uint16_t>(values, to, narrowing).conversion.misfit;
  if (to == PixelType::int16) return convert<std::int16_t>(values, to, narrowing).conversion.misfit;
  return convert<float>(values, to, narrowing).conversion.misfit;
}

TEST(PixelConvert, TheFirstValueThatDoesNotFitIsFound) {
  EXPECT_EQ(misfit<std::int32_t>({1, 70000, -3}, PixelType::uint16), 1U);
  EXPECT_EQ(misfit<std::int32_t>({1, 2, -3}, PixelType::uint16), 2U);
  EXPECT_EQ(misfit<std::int16_t>({1, -1}, PixelType::uint16), 1U);
  EXPECT_EQ(misfit<std::uint16_t>({32768}, PixelType::int16), 0U);
  EXPECT_EQ(misfit<float>({1.0F, 1.5F}, PixelType::uint16), 1U);
  EXPECT_EQ(misfit<float>({-1.0F}, PixelType::uint16), 0U);
  EXPECT_EQ(misfit<float>({65536.0F}, PixelType::uint16), 0U);
  EXPECT_EQ(misfit<std::int32_t>({16777217}, PixelType::float32), 0U);
  EXPECT_EQ(misfit<std::uint32_t>({0xfffffffdU}, PixelType::float32), 0U);
  EXPECT_EQ(misfit<std::uint64_t>({~std::uint64_t{0} - 2}, PixelType::float32), 0U);
  EXPECT_EQ(misfit<std::int8_t>({-128}, PixelType::uint16), 0U);
  std::vector<std::int32_t> long_row(100000, 7);
  long_row[77777] = -7;
  EXPECT_EQ(misfit(long_row, PixelType::uint16), 77777U);
}

TEST(PixelConvert, WhatIsNoCountDoesNotDecideWhetherAFrameFits) {
  const auto eiger = convert<std::uint16_t>(std::vector<std::uint32_t>{5, 0xffffffffU, 65535}, PixelType::uint16);
  EXPECT_FALSE(eiger.conversion.misfit);
  EXPECT_THAT(eiger.values, ElementsAre(5, 65535, 65535));
  EXPECT_EQ(eiger.conversion.no_counts, 1U);
  const auto jungfrau = convert<std::uint16_t>(
      std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min(), 7, std::numeric_limits<std::int32_t>::max()},
      PixelType::uint16);
  EXPECT_FALSE(jungfrau.conversion.misfit);
  EXPECT_THAT(jungfrau.values, ElementsAre(0, 7, 65535));
  EXPECT_EQ(jungfrau.conversion.no_counts, 2U);
  EXPECT_THAT(convert<std::uint16_t>(std::vector<std::int32_t>{-1, 3, -2}, PixelType::uint16).values,
              ElementsAre(0, 3, 0));  // PILATUS
  EXPECT_THAT(convert<std::int16_t>(std::vector<std::uint16_t>{65535, 3}, PixelType::int16).values,
              ElementsAre(32767, 3));
  EXPECT_THAT(
      convert<std::int16_t>(std::vector<float>{std::nanf(""), 3.0F, HUGE_VALF, -HUGE_VALF}, PixelType::int16).values,
      ElementsAre(-32768, 3, 32767, -32768));
  const auto floats = convert<float>(std::vector<std::uint32_t>{0xffffffffU, 9}, PixelType::float32);
  EXPECT_FALSE(floats.conversion.misfit);
  EXPECT_TRUE(std::isnan(floats.values[0]));
  EXPECT_EQ(floats.values[1], 9.0F);
  const auto lowest = convert<float>(
      std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min(), -1, std::numeric_limits<std::int32_t>::max()},
      PixelType::float32);
  EXPECT_TRUE(std::isnan(lowest.values[0])) << "a float holds -2^31, but it is no count";
  EXPECT_EQ(lowest.values[1], -1.0F);
  EXPECT_TRUE(std::isnan(lowest.values[2]));
  EXPECT_EQ(lowest.conversion.no_counts, 2U);
  // One that fits stays what it is, and is a count like any other.
  const auto fits = convert<std::int16_t>(std::vector<std::int32_t>{-1, -2}, PixelType::int16);
  EXPECT_THAT(fits.values, ElementsAre(-1, -2));
  EXPECT_EQ(fits.conversion.no_counts, 0U);
  // Beside it a value that is a count is refused as ever, and with it the frame.
  EXPECT_EQ(misfit<std::uint32_t>({0xffffffffU, 70000}, PixelType::uint16), 1U);
}

TEST(PixelConvert, DeadPixelsOfAnEigerAndGapsInWiderTypesDoNotDecideEither) {
  const auto dead = convert<std::uint16_t>(std::vector<std::uint32_t>{5, 0xfffffffeU, 0xffffffffU}, PixelType::uint16);
  EXPECT_FALSE(dead.conversion.misfit);
  EXPECT_THAT(dead.values, ElementsAre(5, 65535, 65535));
  EXPECT_EQ(dead.conversion.no_counts, 2U);
  EXPECT_THAT(convert<std::int16_t>(std::vector<std::uint16_t>{65534, 3}, PixelType::int16).values,
              ElementsAre(32767, 3));
  EXPECT_TRUE(std::isnan(convert<float>(std::vector<std::uint32_t>{0xfffffffeU}, PixelType::float32).values[0]));
  // What NumPy made of uint32 and int32.
  const auto wide =
      convert<std::uint16_t>(std::vector<std::int64_t>{0xffffffffLL, 0xfffffffeLL, -1, -2, 7}, PixelType::uint16);
  EXPECT_FALSE(wide.conversion.misfit);
  EXPECT_THAT(wide.values, ElementsAre(65535, 65535, 0, 0, 7));
  EXPECT_EQ(wide.conversion.no_counts, 4U);
  const auto same = convert<float>(std::vector<std::int64_t>{0xffffffffLL, 0xfffffffeLL}, PixelType::float32);
  EXPECT_TRUE(std::isnan(same.values[0]));
  EXPECT_TRUE(std::isnan(same.values[1]));
  EXPECT_THAT(convert<std::uint16_t>(std::vector<float>{4294967295.0F, 3.0F}, PixelType::uint16).values,
              ElementsAre(65535, 3));
  EXPECT_TRUE(std::isnan(convert<float>(std::vector<double>{4294967295.0}, PixelType::float32).values[0]));
  EXPECT_EQ(misfit<std::uint32_t>({0xfffffffeU, 0xfffffffdU}, PixelType::uint16), 1U);
  EXPECT_EQ(misfit<std::int64_t>({-2, -3}, PixelType::uint16), 1U);
}

TEST(PixelConvert, WhatStandsAtABadPixelDoesNotDecideWhetherAFrameFits) {
  using Limits = std::numeric_limits<std::int32_t>;
  const std::vector<std::uint8_t> first_two{1, 9, 0};
  const auto large =
      convert<std::uint16_t>(std::vector<std::uint32_t>{70000, 0xfffffffeU, 5}, PixelType::uint16, {}, first_two);
  EXPECT_FALSE(large.conversion.misfit);
  EXPECT_THAT(large.values, ElementsAre(65535, 65535, 5));
  EXPECT_EQ(large.conversion.no_counts, 2U);
  const auto negative =
      convert<std::uint16_t>(std::vector<std::int32_t>{-3, Limits::min() + 1, 5}, PixelType::uint16, {}, first_two);
  EXPECT_THAT(negative.values, ElementsAre(0, 0, 5));
  EXPECT_THAT(
      convert<std::int16_t>(std::vector<std::int64_t>{-70000, 70000, 5}, PixelType::int16, {}, first_two).values,
      ElementsAre(-32768, 32767, 5));
  EXPECT_THAT(convert<std::uint16_t>(std::vector<float>{1e9F, -7.5F, 5.0F}, PixelType::uint16, {}, first_two).values,
              ElementsAre(65535, 0, 5));
  EXPECT_THAT(convert<std::uint16_t>(std::vector<double>{7.75, 1e300, 5.0}, PixelType::uint16, {}, first_two).values,
              ElementsAre(7, 65535, 5));
  EXPECT_THAT(
      convert<float>(std::vector<std::int32_t>{16777217, -16777219, 5}, PixelType::float32, {}, first_two).values,
      ElementsAre(16777216.0F, -16777220.0F, 5.0F));
  // What has no count at all becomes the pool's value for that, masked or not.
  const auto gap =
      convert<std::uint16_t>(std::vector<float>{std::nanf(""), HUGE_VALF, 5.0F}, PixelType::uint16, {}, first_two);
  EXPECT_THAT(gap.values, ElementsAre(0, 65535, 5));
  // One beside it decides as ever, and is counted alone.
  const auto beside =
      convert<std::uint16_t>(std::vector<std::int32_t>{70000, -7, 70001}, PixelType::uint16, {}, first_two);
  EXPECT_EQ(beside.conversion.misfit, 2U);
  EXPECT_EQ(beside.conversion.misfits, 1U);
  // What fits is as it is.
  EXPECT_THAT(convert<std::uint16_t>(std::vector<std::uint32_t>{7, 65535, 5}, PixelType::uint16, {}, first_two).values,
              ElementsAre(7, 65535, 5));
}

TEST(PixelConvert, Float64IsRoundedOnlyWhereThatIsAllowedAndThenReported) {
  const std::vector<double> exact{0.5, -2.0, std::nan(""), HUGE_VAL}, fine{0.1};
  EXPECT_FALSE(misfit(exact, PixelType::float32));
  EXPECT_EQ(misfit(fine, PixelType::float32), 0U);
  const auto allowed = convert<float>(fine, PixelType::float32, Narrowing::allow);
  EXPECT_FALSE(allowed.conversion.misfit);
  EXPECT_TRUE(allowed.conversion.narrowed);
  EXPECT_THAT(allowed.values, ElementsAre(0.1F));
  EXPECT_FALSE(convert<float>(exact, PixelType::float32, Narrowing::allow).conversion.narrowed);
  // A number that becomes infinite is not rounded, it is lost.
  EXPECT_EQ(misfit<double>({1e300}, PixelType::float32, Narrowing::allow), 0U);
  // Rounding is for floats alone: a fraction never becomes a count.
  EXPECT_EQ(misfit<double>({0.1}, PixelType::uint16, Narrowing::allow), 0U);
}

TEST(PixelConvert, TheErrorNamesTheValueAndTheTypeThatWouldHoldTheFrame) {
  const std::vector<std::int32_t> negative{5, -3, 4}, large{5, 70000}, huge{16777217};
  const auto error = [](const auto& values, std::size_t at, PixelType to) {
    using Number = typename std::decay_t<decltype(values)>::value_type;
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    return misfit_error("here", bytes, at, values.size(), type_of<Number>(), to);
  };
  EXPECT_EQ(error(negative, 1, PixelType::uint16).id, "frame.value");
  EXPECT_THAT(error(negative, 1, PixelType::uint16).text(),
              AllOf(HasSubstr("here has the int32 value -3"), HasSubstr("pool.dtype to int16")));
  EXPECT_THAT(error(large, 1, PixelType::uint16).text(), AllOf(HasSubstr("70000"), HasSubstr("pool.dtype to float32")));
  EXPECT_THAT(error(huge, 0, PixelType::float32).text(), HasSubstr("mark them in preprocess.bad_pixels"));
  EXPECT_THAT(error(std::vector<std::int32_t>{70000, 70000, 1, 70000}, 0, PixelType::uint16).text(),
              HasSubstr("cannot hold, as 2 other pixels of this frame"));
  EXPECT_THAT(error(std::vector<std::int32_t>(5000, 70000), 0, PixelType::uint16).text(),
              HasSubstr("as at least 999 other pixels"));
  EXPECT_THAT(error(std::vector<double>{0.1}, 0, PixelType::float32).text(), HasSubstr("--narrow"));
}

}  // namespace
}  // namespace peaknet::feed
