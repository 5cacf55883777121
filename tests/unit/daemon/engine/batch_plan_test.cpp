#include "daemon/engine/batch_plan.hpp"

#include <gtest/gtest.h>

namespace peaknet::engine {
namespace {

using Sizes = std::vector<std::uint32_t>;

TEST(BatchPlan, buckets_are_the_powers_of_two_below_the_largest_and_the_largest_itself) {
  EXPECT_EQ(BatchPlan(1).buckets(), (Sizes{1}));
  EXPECT_EQ(BatchPlan(2).buckets(), (Sizes{1, 2}));
  EXPECT_EQ(BatchPlan(3).buckets(), (Sizes{1, 2, 3}));
  EXPECT_EQ(BatchPlan(8).buckets(), (Sizes{1, 2, 4, 8}));
  EXPECT_EQ(BatchPlan(12).buckets(), (Sizes{1, 2, 4, 8, 12}));
}

TEST(BatchPlan, at_most_a_quarter_of_a_bucket_is_padding_else_the_rest_waits) {
  const BatchPlan plan(16);
  const auto frames_and_bucket = [&](std::uint32_t waiting) {
    const auto batch = plan.choose(waiting);
    return std::pair(batch.frames, batch.bucket);
  };
  EXPECT_EQ(frames_and_bucket(1), std::pair(1U, 1U));
  EXPECT_EQ(frames_and_bucket(3), std::pair(3U, 4U));
  EXPECT_EQ(frames_and_bucket(5), std::pair(4U, 4U)) << "3 of 8 would be padding";
  EXPECT_EQ(frames_and_bucket(6), std::pair(6U, 8U)) << "2 of 8";
  EXPECT_EQ(frames_and_bucket(7), std::pair(7U, 8U));
  EXPECT_EQ(frames_and_bucket(11), std::pair(8U, 8U));
  EXPECT_EQ(frames_and_bucket(12), std::pair(12U, 16U));
  EXPECT_EQ(frames_and_bucket(16), std::pair(16U, 16U));
  EXPECT_EQ(frames_and_bucket(4096), std::pair(16U, 16U));
}

TEST(BatchPlan,
     for_any_size_and_any_number_of_waiting_frames_a_batch_is_never_empty_never_too_large_and_wastes_little) {
  for (std::uint32_t largest = 1; largest <= 70; ++largest) {
    const BatchPlan plan(largest);
    ASSERT_EQ(plan.largest(), largest);
    ASSERT_EQ(plan.buckets().front(), 1U) << "a frame that is tried alone needs it";
    for (std::uint32_t waiting = 1; waiting <= 2 * largest + 1; ++waiting) {
      const auto [frames, bucket] = plan.choose(waiting);
      ASSERT_GE(frames, 1U);
      ASSERT_LE(frames, std::min(waiting, bucket));
      ASSERT_LE(4 * (bucket - frames), bucket);
      ASSERT_TRUE(std::binary_search(plan.buckets().begin(), plan.buckets().end(), bucket));
      if (waiting >= largest) {
        ASSERT_EQ(frames, largest);
      }
      if (frames == waiting || waiting >= largest) continue;
      // Some have to stay: then there is no padding, and every bucket for all of them would have had too much.
      ASSERT_EQ(frames, bucket);
      for (const auto other : plan.buckets()) {
        ASSERT_FALSE(bucket < other && other <= waiting);
        ASSERT_FALSE(other > waiting && 4 * (other - waiting) <= other);
      }
    }
  }
}

TEST(BatchPlan, a_limit_may_come_and_go_but_what_the_device_cannot_hold_does_not_come_back) {
  BatchPlan plan(12);
  plan.limit(4);
  EXPECT_EQ(plan.buckets(), (Sizes{1, 2, 4}));
  plan.limit(11);
  EXPECT_EQ(plan.buckets(), (Sizes{1, 2, 4, 8})) << "no bucket that was not warmed";
  plan.limit(12);
  EXPECT_EQ(plan.buckets(), (Sizes{1, 2, 4, 8, 12}));
  EXPECT_TRUE(plan.lower(8));
  EXPECT_EQ(plan.buckets(), (Sizes{1, 2, 4}));
  EXPECT_TRUE(plan.lower(12)) << "a batch from before: it is below that already";
  plan.limit(1);
  EXPECT_EQ(plan.buckets(), (Sizes{1}));
  plan.limit(12);
  EXPECT_EQ(plan.buckets(), (Sizes{1, 2, 4}));
}

TEST(BatchPlan, a_model_with_certain_rows_alone_leaves_the_buckets_that_it_has) {
  BatchPlan plan(8, 4);
  EXPECT_TRUE(plan.offer({4, 16, 64}));
  EXPECT_EQ(plan.buckets(), (Sizes{1, 4}));
  EXPECT_FALSE(plan.offer({64, 5})) << "no bucket, and no part of an event";
  EXPECT_EQ(plan.buckets(), (Sizes{1, 4})) << "nothing changed";
  EXPECT_TRUE(plan.offer({1, 3}));
  EXPECT_TRUE(plan.split());
  EXPECT_EQ(plan.rows_at_once(1), 3U);
  EXPECT_EQ(plan.passes(), 2U);
  EXPECT_LE(plan.passes() * 3, plan.rows_of_lane());
  EXPECT_TRUE(plan.lower(3));
  EXPECT_EQ(plan.rows_at_once(1), 1U);
  EXPECT_FALSE(plan.lower(1));
  EXPECT_EQ(plan.rows_at_once(1), 1U);
  EXPECT_FALSE(plan.offer({4, 32})) << "what the device could not hold does not come back with another model";
  EXPECT_TRUE(plan.offer({}));
  EXPECT_EQ(plan.rows_at_once(1), 2U);
}

TEST(BatchPlan, without_a_bucket_for_one_event_a_single_one_is_padded) {
  BatchPlan plan(8);
  ASSERT_TRUE(plan.offer({4, 8}));
  EXPECT_EQ(plan.buckets(), (Sizes{4, 8}));
  EXPECT_EQ(plan.choose(1).frames, 1U);
  EXPECT_EQ(plan.choose(1).bucket, 4U);
  EXPECT_EQ(plan.choose(5).frames, 4U);
  plan.limit(2);
  EXPECT_EQ(plan.buckets(), (Sizes{4})) << "the smallest there is";
}

TEST(BatchPlan, for_any_number_of_panels_an_event_can_be_split_down_to_single_rows_and_a_lane_has_room_for_its_passes) {
  for (std::uint32_t panels = 1; panels <= 40; ++panels) {
    for (const std::uint32_t largest : {1U, 2U, 5U}) {
      BatchPlan plan(largest, panels);
      const std::uint32_t room = plan.rows_of_lane();
      for (;;) {
        const std::uint32_t rows = plan.rows_at_once(plan.largest());
        ASSERT_EQ(plan.split(), rows < panels);
        if (plan.split()) {
          ASSERT_EQ(plan.largest(), 1U);
          ASSERT_GE(plan.passes() * rows, panels);
          ASSERT_LT(plan.passes() * rows, panels + rows);
          ASSERT_LE(plan.passes() * rows, room);
        }
        if (!plan.lower(rows)) break;
        ASSERT_LT(plan.rows_at_once(plan.largest()), rows);
      }
      EXPECT_EQ(plan.rows_at_once(1), 1U);
    }
  }
}

}  // namespace
}  // namespace peaknet::engine
