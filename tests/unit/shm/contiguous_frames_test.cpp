#include "shm/contiguous_frames.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using test::must;
using test::TestInstance;

constexpr Geometry kFrames{12, 1, 32, 64, PixelType::uint16};  // an image is a page
constexpr std::size_t kBytes = 32 * 64 * 2;

std::uint32_t free_slots(const TestInstance& instance) {
  return instance.pool().count_states()[static_cast<std::size_t>(SlotState::free)];
}

TEST(ContiguousFrames, what_is_written_to_it_is_in_its_frames) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  const auto consumer = instance.consumer(Queue::q1);
  ContiguousClaims rows(*producer);
  {
    auto row = rows.claim(3, 100);
    ASSERT_TRUE(row);
    ASSERT_EQ(row->memory().size(), 100 + 3 * kBytes);
    for (std::size_t i = 0; i < row->memory().size(); ++i) row->memory()[i] = static_cast<std::byte>(i % 251);
    for (auto& frame : row->frames()) must(frame.commit());
  }
  const auto taken = consumer->take(8);
  ASSERT_EQ(taken.frames.size(), 3U);
  for (std::size_t f = 0; f < 3; ++f) {
    const auto image = taken.frames[f].image();
    for (std::size_t i = 0; i < kBytes; ++i) {
      ASSERT_EQ(image[i], static_cast<std::byte>((100 + f * kBytes + i) % 251)) << "frame " << f << ", byte " << i;
    }
  }
}

TEST(ContiguousFrames, the_masks_of_its_slots_are_not_touched) {
  const TestInstance instance({.geometry = kFrames});
  const auto masks = [&] {
    std::vector<std::uint64_t> all;
    for (std::uint32_t slot = 0; slot < kFrames.slots; ++slot) {
      all.insert(all.end(), instance.pool().mask(slot), instance.pool().mask(slot) + kFrames.mask_words());
    }
    return all;
  };
  for (std::uint32_t slot = 0; slot < kFrames.slots; ++slot) *instance.pool().mask(slot) = slot + 1;
  const auto before = masks();
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  auto row = rows.claim(5, kBytes);
  ASSERT_TRUE(row);
  std::fill(row->memory().begin(), row->memory().end(), std::byte{0xff});
  EXPECT_EQ(masks(), before);
}

TEST(ContiguousFrames, one_that_is_given_up_never_was) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  {
    auto row = rows.claim(3, 8);
    ASSERT_TRUE(row);
    EXPECT_EQ(free_slots(instance), 12U - 4U);  // the one with the bytes before them, too
    must(row->frames()[1].commit());
  }
  EXPECT_EQ(free_slots(instance), 11U);
  EXPECT_EQ(instance.total(Counter::claimed), 3U);
  EXPECT_EQ(instance.total(Counter::aborted), 2U);
  EXPECT_EQ(instance.total(Counter::committed), 1U);
  must(must(producer->claim({})).commit());  // and the producer goes on
}

TEST(ContiguousFrames, half_of_the_pool_stays_free_for_others) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  EXPECT_FALSE(rows.claim(6, 0));  // with the one before them, seven of twelve
  EXPECT_FALSE(rows.claim(std::uint64_t{1} << 40, 0));
  EXPECT_FALSE(rows.claim(0, 0));
  EXPECT_TRUE(rows.claim(5, 0));
  const auto other = instance.producer();
  const auto held = must(other->claim({}));
  EXPECT_FALSE(rows.claim(5, 0));
  EXPECT_TRUE(rows.claim(4, 0));
}

TEST(ContiguousFrames, only_neighbours_are_taken_and_nothing_is_dropped_for_them) {
  const TestInstance instance({.geometry = {20, 1, 32, 64, PixelType::uint16}, .full = FullPolicy::drop_oldest});
  const auto producer = instance.producer(), other = instance.producer();
  ContiguousClaims rows(*producer);
  std::vector<Frame> claimed;
  for (int i = 0; i < 20; ++i) claimed.push_back(must(other->claim({})));
  for (const std::size_t slot : {0, 3, 7, 11, 15}) must(claimed[slot].commit());
  claimed.clear();
  // Free now: 1 to 2, 4 to 6, 8 to 10, 12 to 14, 16 to 19.
  EXPECT_FALSE(rows.claim(4, 0));
  for (const std::uint32_t frames : {2U, 3U}) {
    auto row = rows.claim(frames, 0);
    ASSERT_TRUE(row);
    for (std::uint32_t i = 0; i < frames; ++i) {
      EXPECT_EQ(row->frames()[i].image().data(), producer->participant().pool().image((frames == 2 ? 5 : 17) + i));
    }
  }
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 0U);
}

TEST(ContiguousFrames, there_is_none_of_images_that_are_not_whole_pages) {
  const TestInstance instance({.geometry = {12, 1, 32, 48, PixelType::uint16}});
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  EXPECT_FALSE(rows.claim(2, 0));
  EXPECT_EQ(free_slots(instance), 12U);
}

TEST(ContiguousFrames, there_is_none_with_more_bytes_before_it_than_an_image_has) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  EXPECT_TRUE(rows.claim(1, kBytes));
  EXPECT_FALSE(rows.claim(1, kBytes + 1));
}

TEST(ContiguousFrames, follows_the_producer_to_a_new_pool_and_lets_the_old_one_go) {
  TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  ContiguousClaims rows(*producer);
  ASSERT_TRUE(rows.claim(1, 0));
  const std::weak_ptr<Pool> old = producer->participant().shared_pool();
  instance.next_epoch({8, 1, 64, 64, PixelType::uint16});
  EXPECT_FALSE(rows.claim(1, 0));  // the producer has not moved over yet
  { const auto moved = must(producer->claim({})); }
  EXPECT_FALSE(old.expired());
  rows.release_old_pool();
  EXPECT_TRUE(old.expired());
  auto row = rows.claim(2, 0);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->memory().size(), std::size_t{2} * 64 * 64 * 2);
}

TEST(ContiguousFrames, the_slots_of_a_dead_one_are_free_again) {
  const TestInstance instance({.geometry = kFrames});
  auto dead = test::Child::run([&] {
    const auto producer = instance.producer();
    ContiguousClaims rows(*producer);
    const auto row = rows.claim(4, 8);
    if (row) ::raise(SIGSTOP);
    return 1;
  });
  ASSERT_TRUE(dead.wait_stopped());
  EXPECT_EQ(free_slots(instance), 7U);
  dead.kill();
  const auto next = instance.producer();  // recovers whose number it gets
  next->participant().recover_dead();
  EXPECT_EQ(free_slots(instance), 12U);
}

}  // namespace
}  // namespace peaknet::shm
