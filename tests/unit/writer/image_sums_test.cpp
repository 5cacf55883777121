#include "writer/image_sums.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/unit/cxi/samples.hpp"
#include "writer/time_share.hpp"

namespace peaknet::writer {
namespace {

FileFacts facts_of(PixelType type) {
  FileFacts facts = test::sample_facts();
  facts.panels = 2;
  facts.height = 3;
  facts.width = 5;
  facts.pixel_type = type;
  facts.slab = {};
  facts.bad = std::make_shared<BadMask>();
  return facts;
}

template <class Pixel>
std::vector<Pixel> image(std::vector<Pixel> first) {
  first.resize(30, first.back());
  return first;
}

TEST(ImageSums, sum_and_maximum_are_those_of_all_images) {
  const auto a = image<std::uint16_t>({65535, 3, 1}), b = image<std::uint16_t>({65535, 1, 2});
  ImageSums sums(facts_of(PixelType::uint16));
  const std::vector<const void*> both = {a.data(), b.data()};
  sums.add_images(both);
  sums.add_images(std::span(both).first(1));
  const RunSums all = sums.in_slab();
  EXPECT_EQ(all.sum[0], 3 * 65535.0);
  EXPECT_EQ(all.sum[29], 4.0);
  EXPECT_EQ(all.maximum[0], 65535.0F);
  EXPECT_EQ(all.maximum[1], 3.0F);
  EXPECT_EQ(all.maximum[29], 2.0F);
  EXPECT_EQ(all.summed, 3U);
  EXPECT_EQ(all.hits, 0U);
}

TEST(ImageSums, are_right_for_large_images_and_for_more_than_32_bits_hold) {
  FileFacts facts = facts_of(PixelType::uint16);
  facts.height = 111;
  facts.width = 97;
  std::vector<std::uint16_t> pixels(2 * 111 * 97);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i * 7);
  ImageSums large(facts);
  const std::vector<const void*> three(3, pixels.data());
  large.add_images(three);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    ASSERT_EQ(large.in_slab().sum[i], 3.0 * pixels[i]) << i;
    if (i > 200) i += 997;
  }
  const auto bright = image<std::uint16_t>({65535});
  ImageSums many(facts_of(PixelType::uint16));
  const std::vector<const void*> all(70'000, bright.data());
  many.add_images(all);
  EXPECT_EQ(many.in_slab().sum[3], 70'000 * 65535.0);
  EXPECT_EQ(many.in_slab().summed, 70'000U);
}

TEST(ImageSums, negative_values_have_a_maximum_too) {
  const auto a = image<std::int16_t>({-5}), b = image<std::int16_t>({-7});
  ImageSums sums(facts_of(PixelType::int16));
  const std::vector<const void*> both = {a.data(), b.data()};
  sums.add_images(both);
  EXPECT_EQ(sums.in_slab().sum[7], -12.0);
  EXPECT_EQ(sums.in_slab().maximum[7], -5.0F);
}

TEST(ImageSums, values_that_are_not_finite_are_left_out_and_a_pixel_without_any_is_not_known) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto a = image<float>({nan, 1, inf, -inf, 2}), b = image<float>({3, nan, nan, inf, -1});
  ImageSums sums(facts_of(PixelType::float32));
  const std::vector<const void*> both = {a.data(), b.data()};
  sums.add_images(both);
  const RunSums all = sums.in_slab();
  EXPECT_EQ(all.sum[0], 3.0);
  EXPECT_EQ(all.sum[1], 1.0);
  EXPECT_TRUE(std::isnan(all.sum[2]) && std::isnan(all.maximum[2]));
  EXPECT_TRUE(std::isnan(all.sum[3]) && std::isnan(all.maximum[3]));
  EXPECT_EQ(all.sum[4], 1.0);
  EXPECT_EQ(all.maximum[4], 2.0F);
}

TEST(ImageSums, bad_pixels_and_padding_are_not_known) {
  FileFacts facts = facts_of(PixelType::uint16);
  facts.bad = test::bad_mask(facts, {{1, 2, 4}});
  ImageSums sums(facts);
  sums.leave_out(facts.bad);
  Event event;
  event.pad_top = 1;
  event.original_height = 2;
  event.original_width = 4;
  sums.leave_out_padding(event);
  const auto a = image<std::uint16_t>({9});
  const std::vector<const void*> one = {a.data()};
  sums.add_images(one);
  const RunSums all = sums.in_slab();
  for (std::size_t panel = 0; panel < 2; ++panel) {
    for (std::size_t y = 0; y < 3; ++y) {
      for (std::size_t x = 0; x < 5; ++x) {
        const bool data = y >= 1 && x < 4;
        EXPECT_EQ(std::isnan(all.sum[(3 * panel + y) * 5 + x]), !data) << panel << ' ' << y << ' ' << x;
        EXPECT_EQ(std::isnan(all.maximum[(3 * panel + y) * 5 + x]), !data);
      }
    }
  }
}

TEST(ImageSums, lie_in_the_slab_as_images_do) {
  FileFacts facts = facts_of(PixelType::uint16);
  facts.slab = {.height = 3, .width = 11, .places = {{0, 6}, {0, 0}}};
  std::vector<std::uint16_t> a(30);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::uint16_t>(i);
  ImageSums sums(facts);
  const std::vector<const void*> one = {a.data()};
  sums.add_images(one);
  const RunSums all = sums.in_slab();
  EXPECT_EQ(all.width, 11U);
  EXPECT_EQ(all.sum[6], 0.0);
  EXPECT_EQ(all.sum[11 + 7], 6.0);
  EXPECT_EQ(all.sum[0], 15.0);
  EXPECT_TRUE(std::isnan(all.sum[5])) << "no panel";
  EXPECT_TRUE(sums.fits(facts));
  EXPECT_FALSE(sums.fits(facts_of(PixelType::uint16)));
}

TEST(ImageSums, the_powder_counts_centres_of_peaks) {
  ImageSums sums(facts_of(PixelType::uint16));
  Event event;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [x, y] : {std::pair{1.4F, 0.6F}, {4.0F, 5.0F}, {-1.0F, 0.0F}, {0.0F, 6.0F}, {nan, 1.0F}})
    event.peaks.push_back({.x = x, .y = y});
  sums.add_peaks(event);
  sums.add_peaks(event);
  const RunSums all = sums.in_slab();
  EXPECT_EQ(all.powder[5 + 1], 2U);
  EXPECT_EQ(all.powder[29], 2U);
  EXPECT_EQ(std::count(all.powder.begin(), all.powder.end(), 0U), 28);
  EXPECT_EQ(all.hits, 2U);
  EXPECT_EQ(all.peakogram.lacks, "there is no output.geometry");
  EXPECT_TRUE(std::isnan(all.sum[0])) << "no image was added";
}

TEST(TimeShare, gives_no_more_than_the_share) {
  using namespace std::chrono_literals;
  TimeShare::Clock::time_point now{};
  TimeShare share(0.02, 20ms, now);
  TimeShare::Clock::duration spent{};
  const auto begun = now;
  for (int i = 0; i < 100'000; ++i, now += 1ms) {
    if (!share.has_some(now)) continue;
    share.spend(7ms);
    spent += 7ms;
  }
  EXPECT_LE(spent, 27ms + (now - begun) / 50);
  EXPECT_GE(spent, (now - begun) / 51) << "and no less, where it is wanted";
}

TEST(TimeShare, saves_up_no_more_than_it_may) {
  using namespace std::chrono_literals;
  TimeShare::Clock::time_point now{};
  TimeShare share(0.02, 20ms, now);
  now += 24h;
  int pieces = 0;
  while (share.has_some(now)) {
    share.spend(5ms);
    ++pieces;
  }
  EXPECT_EQ(pieces, 4);
}

}  // namespace
}  // namespace peaknet::writer
