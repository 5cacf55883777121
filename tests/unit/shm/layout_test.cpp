#include "shm/layout.hpp"

#include <gtest/gtest.h>

#include <cstddef>

namespace peaknet::shm {
namespace {

TEST(Layout, parts_of_a_pool_follow_each_other_without_overlap) {
  for (const Geometry& g : {Geometry{2, 1, 1, 1, PixelType::uint16}, Geometry{4096, 1, 48, 64, PixelType::uint16},
                            Geometry{513, 8, 512, 1024, PixelType::float32}}) {
    ASSERT_TRUE(g.check());
    const PoolOffsets at(g);
    EXPECT_GE(at.words, sizeof(PoolHeader));
    EXPECT_GE(at.descriptors, at.words + std::size_t{g.slots} * sizeof(std::uint64_t));
    EXPECT_GE(at.payload, at.descriptors + std::size_t{g.slots} * kDescriptorStride);
    EXPECT_EQ(at.total, at.payload + g.slots * g.slot_stride());
    EXPECT_EQ(at.words % kPage, 0U);
    EXPECT_EQ(at.payload % kPayloadAlignment, 0U) << "huge pages need 2 MiB";
  }
}

TEST(Layout, what_different_processes_write_lies_on_different_cache_lines) {
  EXPECT_EQ(sizeof(ParticipantRecord) % 64, 0U);
  EXPECT_EQ(offsetof(ParticipantRecord, intent) % 64, 0U);
  EXPECT_EQ(offsetof(ParticipantRecord, counters) % 64, 0U);
  EXPECT_EQ(offsetof(PoolHeader, ready_event) % 64, 0U);
  EXPECT_GE(offsetof(PoolHeader, done_event) - offsetof(PoolHeader, ready_event), 64U);
  EXPECT_GE(offsetof(PoolHeader, free_event) - offsetof(PoolHeader, done_event), 64U);
  EXPECT_GE(offsetof(ControlLayout, next_sequence) - offsetof(ControlLayout, epoch), 64U);
}

TEST(Layout, every_counter_and_state_has_a_name) {
  for (std::uint32_t i = 0; i < kCounters; ++i) EXPECT_NE(name(static_cast<Counter>(i)), nullptr) << i;
  for (std::uint32_t i = 0; i < kStages; ++i) EXPECT_NE(name(static_cast<Stage>(i)), nullptr) << i;
  for (const Role role : {Role::daemon, Role::producer, Role::writer}) EXPECT_STRNE(name(role), "impossible");
  EXPECT_STREQ(name(Counter::committed), "committed");
  EXPECT_STREQ(name(Counter::messages_lost), "messages_lost");
  // What a participant scribbled has a name too.
  EXPECT_STREQ(name(static_cast<DaemonState>(77)), "impossible");
  EXPECT_STREQ(name(static_cast<FullPolicy>(77)), "impossible");
  EXPECT_STREQ(name(static_cast<Role>(77)), "impossible");
  EXPECT_STREQ(name(static_cast<SlotState>(77)), "impossible");
}

TEST(Layout, objects_of_an_instance_are_named_after_it) {
  EXPECT_EQ(control_segment_name("mfx"), "/peaknet.mfx");
  EXPECT_EQ(pool_name("mfx", 12), "/peaknet.mfx.g12");
}

}  // namespace
}  // namespace peaknet::shm
