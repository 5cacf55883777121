#include "shm/pool.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using test::must;
using test::small_frames;
using test::TestInstance;

Result<std::shared_ptr<Pool>> open(const TestInstance& instance) {
  return instance.control_segment().open_pool(Access::read_write);
}

TEST(Pool, a_new_one_is_all_free_and_says_the_same_to_everybody) {
  TestInstance instance({.geometry = small_frames(5), .full = FullPolicy::drop_oldest});
  const auto pool = must(open(instance));
  EXPECT_EQ(pool->geometry(), small_frames(5));
  EXPECT_EQ(pool->policy(), FullPolicy::drop_oldest);
  EXPECT_EQ(pool->epoch(), 1U);
  EXPECT_EQ(pool->count_states()[static_cast<std::size_t>(SlotState::free)], 5U);
}

TEST(Pool, no_two_places_in_it_overlap) {
  TestInstance instance({.geometry = small_frames(4)});
  const Pool& pool = instance.pool();
  std::set<const void*> places;
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    std::memset(pool.image(slot), static_cast<int>(16 + slot), pool.geometry().image_bytes());
    std::memset(pool.mask(slot), static_cast<int>(32 + slot), pool.geometry().mask_bytes());
    pool.descriptor(slot).event_id = 100 + slot;
    pool.word(slot).store(slot);
  }
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(static_cast<unsigned>(pool.image(slot)[0]), 16 + slot);
    EXPECT_EQ(static_cast<unsigned>(pool.image(slot)[pool.geometry().image_bytes() - 1]), 16 + slot);
    EXPECT_EQ(reinterpret_cast<const unsigned char*>(pool.mask(slot))[pool.geometry().mask_bytes() - 1], 32 + slot);
    EXPECT_EQ(pool.descriptor(slot).event_id, 100 + slot);
    EXPECT_EQ(pool.word(slot).load(), slot);
  }
  EXPECT_EQ(pool.header().header.magic, kPoolMagic) << "nothing was written over the header";
  EXPECT_EQ(pool.payload().data(), pool.image(0));
  EXPECT_EQ(pool.payload().size(), 4 * pool.geometry().slot_stride());
}

TEST(Pool, an_impossible_geometry_is_refused_before_anything_is_made) {
  TestInstance instance({.with_pool = false});
  auto pool = Pool::create(instance.name(), 1, {1, 1, 1, 1, PixelType::uint16}, FullPolicy::block, 1, {});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().id, "pool.bad-geometry");
  EXPECT_EQ(test::shared_memory_of(instance.name()).size(), 1U);
}

TEST(Pool, one_of_another_instance_or_epoch_is_foreign) {
  TestInstance instance;
  instance.pool().header().header.instance_uuid += 1;
  EXPECT_EQ(open(instance).error().id, "pool.foreign");
  instance.pool().header().header.instance_uuid -= 1;
  instance.pool().header().epoch = 2;
  EXPECT_EQ(open(instance).error().id, "pool.foreign");
  instance.pool().header().epoch = 1;
  instance.pool().header().header.magic = 0;
  EXPECT_EQ(open(instance).error().id, "pool.foreign");
}

TEST(Pool, one_of_another_program_version_is_refused_with_both_versions) {
  TestInstance instance;
  instance.pool().header().header.layout_hash += 1;
  auto pool = open(instance);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().id, "pool.other-version");
  EXPECT_NE(pool.error().what.find(std::to_string(kLayoutHash)), std::string::npos);
  EXPECT_NE(pool.error().what.find(std::to_string(kLayoutHash + 1)), std::string::npos);
  instance.pool().header().header.layout_hash -= 1;
  instance.pool().header().header.abi_major += 1;
  pool = open(instance);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().id, "pool.other-version");
}

TEST(Pool, a_header_that_does_not_fit_its_size_is_damaged_whatever_it_says) {
  TestInstance instance;
  PoolHeader& header = instance.pool().header();
  const auto expect_damaged = [&](auto& field, auto value) {
    const auto good = std::exchange(field, value);
    auto pool = open(instance);
    ASSERT_FALSE(pool) << value;
    EXPECT_EQ(pool.error().id, "pool.damaged") << pool.error().text();
    field = good;
    EXPECT_TRUE(open(instance));
  };
  for (const std::uint32_t value : {0U, 1U, 9U, 4096U, 0xffffffffU}) expect_damaged(header.slots, value);
  for (const std::uint32_t value : {0U, 100U, 1U << 31, 0xffffffffU}) expect_damaged(header.height, value);
  for (const std::uint32_t value : {0U, 4000U, 0xffffffffU}) expect_damaged(header.width, value);
  for (const std::uint32_t value : {0U, 2U, 0xffffffffU}) expect_damaged(header.panels, value);
  for (const std::uint32_t value : {0U, 3U, 77U}) expect_damaged(header.pixel_type, value);
  for (const std::uint32_t value : {3U, 0xffffffffU}) expect_damaged(header.full_policy, value);
}

TEST(Pool, a_truncated_one_is_refused) {
  TestInstance instance;
  const std::string file = "/dev/shm" + pool_name(instance.name(), 1);
  ASSERT_EQ(truncate(file.c_str(), 100000), 0);
  EXPECT_EQ(open(instance).error().id, "pool.damaged");
  ASSERT_EQ(truncate(file.c_str(), 10), 0);
  EXPECT_EQ(open(instance).error().id, "shm.too-small");
  ASSERT_EQ(unlink(file.c_str()), 0);
  EXPECT_EQ(open(instance).error().id, "shm.absent");
}

TEST(Pool, attached_programs_go_on_with_their_own_copy_when_the_header_is_overwritten) {
  TestInstance instance;
  auto producer = instance.producer();
  instance.pool().header().slots = 4000;
  instance.pool().header().width = 30000;
  for (int i = 0; i < 8; ++i) must(must(producer->claim(std::chrono::seconds(1))).commit());
  EXPECT_FALSE(producer->claim(std::chrono::seconds(0))) << "still eight slots";
}

TEST(Pool, a_second_one_of_the_same_epoch_is_refused_and_leaves_the_first_alone) {
  TestInstance instance;
  auto producer = instance.producer();
  const auto second =
      Pool::create(instance.name(), 1, small_frames(3), FullPolicy::block, instance.control_segment().uuid(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().id, "shm.exists");
  EXPECT_EQ(test::shared_memory_of(instance.name()).size(), 2U);
  EXPECT_EQ(must(open(instance))->geometry(), small_frames());
  must(must(producer->claim(std::chrono::seconds(1))).commit());
}

}  // namespace
}  // namespace peaknet::shm
