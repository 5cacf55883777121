#include "shm/geometry.hpp"

#include <gtest/gtest.h>

namespace peaknet::shm {
namespace {

Geometry good() { return {8, 2, 185, 388, PixelType::uint16}; }

void expect_refused(const Geometry& geometry, const std::string& number) {
  const Status status = geometry.check();
  ASSERT_FALSE(status) << describe(geometry);
  EXPECT_EQ(status.error().id, "pool.bad-geometry");
  EXPECT_NE(status.error().what.find(number), std::string::npos) << status.error().text();
}

TEST(Geometry, a_slot_is_image_then_mask_each_on_pages_of_its_own) {
  const Geometry g = good();
  ASSERT_TRUE(g.check());
  EXPECT_EQ(g.pixels(), 2U * 185 * 388);
  EXPECT_EQ(g.image_bytes(), g.pixels() * 2);
  EXPECT_EQ(g.words_per_row(), 7U) << "388 pixels need 7 words of 64";
  EXPECT_EQ(g.mask_words(), 2U * 185 * 7);
  EXPECT_EQ(g.mask_offset() % kPage, 0U);
  EXPECT_GE(g.mask_offset(), g.image_bytes());
  EXPECT_EQ(g.slot_stride() % kPage, 0U);
  EXPECT_GE(g.slot_stride(), g.mask_offset() + g.mask_bytes());
}

TEST(Geometry, pixel_types_have_their_size) {
  Geometry g = good();
  g.pixel_type = PixelType::float32;
  EXPECT_EQ(g.image_bytes(), g.pixels() * 4);
  g.pixel_type = PixelType::int16;
  EXPECT_EQ(g.image_bytes(), g.pixels() * 2);
}

TEST(Geometry, a_frame_that_fills_whole_pages_wastes_none) {
  const Geometry g{4, 1, 64, 64, PixelType::uint16};
  EXPECT_EQ(g.mask_offset(), 8192U);
  EXPECT_EQ(g.slot_stride(), 8192U + kPage);
}

TEST(Geometry, limits_are_named_with_the_number_that_broke_them) {
  Geometry g = good();
  g.slots = 1;
  expect_refused(g, "is 1,");
  g.slots = kMaxSlots + 1;
  expect_refused(g, "4097");
  g = good();
  g.panels = 0;
  expect_refused(g, "[0,185,388]");
  g = good();
  g.panels = 1025;
  expect_refused(g, "1025");
  g = good();
  g.height = 32769;
  expect_refused(g, "32769");
  g = good();
  g.width = 0;
  expect_refused(g, "[2,185,0]");
  g = good();
  g.pixel_type = static_cast<PixelType>(7);
  expect_refused(g, "dtype");
  expect_refused({2, 1024, 32768, 32768, PixelType::float32}, std::to_string(std::size_t{1} << 40));
}

TEST(Geometry, same_frames_looks_at_everything_but_the_number_of_slots) {
  Geometry other = good();
  other.slots = 99;
  EXPECT_TRUE(good().same_frames(other));
  EXPECT_FALSE(good() == other);
  other.pixel_type = PixelType::int16;
  EXPECT_FALSE(good().same_frames(other));
  for (std::uint32_t Geometry::*size : {&Geometry::panels, &Geometry::height, &Geometry::width}) {
    other = good();
    other.*size += 1;
    EXPECT_FALSE(good().same_frames(other));
  }
  EXPECT_EQ(describe(good()), "uint16 [2,185,388]");
}

}  // namespace
}  // namespace peaknet::shm
