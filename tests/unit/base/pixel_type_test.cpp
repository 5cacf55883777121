#include "base/pixel_type.hpp"

#include <gtest/gtest.h>

namespace peaknet {
namespace {

TEST(PixelType, NumbersArePartOfTheSharedMemoryLayout) {
  EXPECT_EQ(static_cast<std::uint32_t>(PixelType::uint16), 1U);
  EXPECT_EQ(static_cast<std::uint32_t>(PixelType::int16), 2U);
  EXPECT_EQ(static_cast<std::uint32_t>(PixelType::float32), 3U);
}

TEST(PixelType, SizesAndNamesAreThoseOfNumpy) {
  EXPECT_EQ(size_of(PixelType::uint16), 2U);
  EXPECT_EQ(size_of(PixelType::int16), 2U);
  EXPECT_EQ(size_of(PixelType::float32), 4U);
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    EXPECT_EQ(parse_pixel_type(name(type)), type);
    EXPECT_EQ(pixel_type_from(static_cast<std::uint32_t>(type)), type);
  }
}

TEST(PixelType, NothingElseIsOne) {
  EXPECT_FALSE(pixel_type_from(0));
  EXPECT_FALSE(pixel_type_from(4));
  EXPECT_FALSE(parse_pixel_type("Uint16"));
  EXPECT_FALSE(parse_pixel_type("unknown"));
  EXPECT_FALSE(parse_pixel_type(""));
  EXPECT_EQ(size_of(static_cast<PixelType>(0)), 0U);
  EXPECT_EQ(name(static_cast<PixelType>(9)), "unknown");
}

}  // namespace
}  // namespace peaknet
