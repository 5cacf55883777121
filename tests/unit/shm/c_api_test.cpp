// The C ABI from the other side: what goes in through peaknet_shm.h comes out of the C++ clients, and the reverse.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "shm/peaknet_shm.h"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Exit;
using test::must;
using test::small_frames;
using test::TestInstance;

constexpr std::int64_t kSecond = 1'000'000'000;

peaknet_producer* attach(const TestInstance& instance, peaknet_policy policy = PEAKNET_POOL_POLICY) {
  peaknet_producer* producer = nullptr;
  EXPECT_EQ(peaknet_producer_attach(instance.name().c_str(), "c test", policy, &producer), PEAKNET_OK)
      << peaknet_last_error();
  return producer;
}

peaknet_frame* claim(peaknet_producer* producer) {
  peaknet_frame* frame = nullptr;
  EXPECT_EQ(peaknet_claim(producer, kSecond, &frame), PEAKNET_OK) << peaknet_last_error();
  return frame;
}

void commit_one(const TestInstance& instance, std::uint16_t value) {
  auto producer = instance.producer();
  auto frame = must(producer->claim(1s));
  std::ranges::fill(frame.pixels<std::uint16_t>(), value);
  frame.info().event_id = value;
  must(frame.commit());
}

void infer_one(const TestInstance& instance, ResultStatus status = ResultStatus::mask) {
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1, kMaxSequence, "run-9");
  std::ranges::fill(taken.frames.at(0).mask(), 0xf0U);
  must(taken.frames.at(0).publish(status));
}

TEST(CApi, columns_that_a_producer_sets_are_what_a_consumer_gets) {
  const auto column = [](const char* name, ColumnType type, std::uint32_t length) {
    return Column{.name = name,
                  .dataset = std::string("/LCLS/") + name,
                  .unit = "eV",
                  .type = type,
                  .length = length,
                  .unknown = usual_unknown(type)};
  };
  const TestInstance instance({.columns = must(ColumnTable::make({column("laser_on", ColumnType::uint8, 0),
                                                                  column("spectrum", ColumnType::float32, 3)}))});
  peaknet_producer* producer = attach(instance);
  peaknet_column described{};
  ASSERT_EQ(peaknet_producer_column(producer, 1, &described), PEAKNET_OK);
  EXPECT_STREQ(described.name, "spectrum");
  EXPECT_STREQ(described.dataset, "/LCLS/spectrum");
  EXPECT_STREQ(described.unit, "eV");
  EXPECT_EQ(described.type, PEAKNET_COLUMN_FLOAT32);
  EXPECT_EQ(described.length, 3U);
  EXPECT_EQ(peaknet_producer_column(producer, 2, &described), PEAKNET_NOTHING);

  peaknet_frame* frame = claim(producer);
  const std::array<float, 3> sent{0.5F, -1.0F, 2.25F};
  const std::uint8_t on = 1;
  EXPECT_EQ(peaknet_frame_set(frame, "spectrum", PEAKNET_COLUMN_FLOAT32, sent.data(), 3), PEAKNET_OK);
  EXPECT_EQ(peaknet_frame_set(frame, "laser_onn", PEAKNET_COLUMN_UINT8, &on, 1), PEAKNET_E_COLUMN);
  EXPECT_NE(std::string(peaknet_last_error()).find("did you mean 'laser_on'"), std::string::npos);
  EXPECT_EQ(peaknet_frame_set(frame, "laser_on", PEAKNET_COLUMN_UINT16, sent.data(), 1), PEAKNET_E_COLUMN);
  EXPECT_EQ(peaknet_frame_set(frame, "spectrum", PEAKNET_COLUMN_FLOAT32, sent.data(), 2), PEAKNET_E_COLUMN);
  EXPECT_EQ(peaknet_frame_set(frame, "spectrum", PEAKNET_COLUMN_FLOAT32, sent.data(), 0x40000003U), PEAKNET_E_COLUMN);
  EXPECT_EQ(peaknet_frame_set(frame, "laser_on", 99, &on, 1), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_frame_set(nullptr, "laser_on", PEAKNET_COLUMN_UINT8, &on, 1), PEAKNET_E_ARGUMENT);
  ASSERT_EQ(peaknet_commit(frame, nullptr), PEAKNET_OK);
  infer_one(instance);

  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  EXPECT_EQ(peaknet_consumer_column(consumer, 0, &described), PEAKNET_OK);
  EXPECT_STREQ(described.name, "laser_on");
  EXPECT_EQ(described.unknown[0], 255);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  std::array<float, 3> got{};
  std::uint8_t laser = 0;
  EXPECT_EQ(peaknet_result_get(result, "spectrum", PEAKNET_COLUMN_FLOAT32, got.data(), 3), PEAKNET_OK);
  EXPECT_EQ(got, sent);
  EXPECT_EQ(peaknet_result_get(result, "laser_on", PEAKNET_COLUMN_UINT8, &laser, 1), PEAKNET_NOTHING);
  EXPECT_EQ(laser, 255) << "not known, and not 0";
  EXPECT_EQ(peaknet_result_get(result, "spectrum", PEAKNET_COLUMN_FLOAT32, got.data(), 2), PEAKNET_E_COLUMN);
  EXPECT_EQ(peaknet_result_get(result, "laser", PEAKNET_COLUMN_UINT8, &laser, 1), PEAKNET_E_COLUMN);
  ASSERT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  peaknet_consumer_detach(consumer);
  peaknet_producer_detach(producer);
}

TEST(CApi, what_a_producer_writes_and_says_arrives) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_geometry geometry{};
  ASSERT_EQ(peaknet_producer_geometry(producer, &geometry), PEAKNET_OK);
  EXPECT_EQ(geometry.height, 48U);
  EXPECT_EQ(geometry.width, 64U);
  EXPECT_EQ(geometry.pixel_type, PEAKNET_UINT16);
  EXPECT_EQ(geometry.image_bytes, 48U * 64U * 2U);
  EXPECT_EQ(geometry.mask_words_per_row, 1U);

  peaknet_frame* frame = claim(producer);
  peaknet_info* info = peaknet_frame_info(frame);
  EXPECT_TRUE(std::isnan(info->photon_energy_ev));
  EXPECT_TRUE(std::isnan(info->encoder_value));
  EXPECT_EQ(info->fiducial, PEAKNET_NO_FIDUCIAL);
  EXPECT_EQ(info->original_height, 48U);
  std::memset(peaknet_frame_image(frame), 0x21, geometry.image_bytes);
  info->event_id = 5;
  info->timestamp = std::uint64_t{7} << 32;
  info->photon_energy_ev = 9000;
  info->encoder_value = -572.25;
  info->fiducial = 0;
  std::memset(info->source_run, 'x', sizeof info->source_run);  // not terminated: cut
  info->flags = PEAKNET_NORMALISED;
  info->original_height = 40;
  info->pad_top = 8;
  info->user[3] = 11;
  std::uint64_t number = 99;
  ASSERT_EQ(peaknet_commit(frame, &number), PEAKNET_OK);
  EXPECT_EQ(number, 0U);

  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1);
  const FrameDescriptor& seen = taken.frames.at(0).descriptor();
  EXPECT_EQ(seen.event_id, 5U);
  EXPECT_EQ(seen.timestamp, std::uint64_t{7} << 32);
  EXPECT_EQ(seen.photon_energy_ev, 9000);
  EXPECT_EQ(seen.encoder_value, -572.25);
  EXPECT_EQ(seen.fiducial, 0U);
  EXPECT_EQ(seen.source_run_id(), std::string(31, 'x'));
  EXPECT_EQ(seen.flags, kFlagNormalised);
  EXPECT_EQ(seen.original_height, 40U);
  EXPECT_EQ(seen.pad_top, 8U);
  EXPECT_EQ(seen.user[3], 11U);
  EXPECT_EQ(seen.producer, peaknet_producer_number(producer));
  EXPECT_EQ(taken.frames.at(0).image()[100], std::byte{0x21});
  peaknet_producer_detach(producer);
}

TEST(CApi, pixels_from_elsewhere_are_put_in_one_call) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_geometry shape{};
  ASSERT_EQ(peaknet_producer_geometry(producer, &shape), PEAKNET_OK);
  const std::vector<std::uint16_t> pixels(shape.image_bytes / 2, 0x1234);
  std::uint64_t number = 99;
  ASSERT_EQ(peaknet_put(producer, pixels.data(), &shape, nullptr, kSecond, &number), PEAKNET_OK)
      << peaknet_last_error();
  EXPECT_EQ(number, 0U);
  peaknet_info info{};
  peaknet_info_unknown(&info);
  info.event_id = 5;
  info.photon_energy_ev = 9000;
  ASSERT_EQ(peaknet_put(producer, pixels.data(), &shape, &info, kSecond, &number), PEAKNET_OK) << peaknet_last_error();
  EXPECT_EQ(number, 1U);

  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(2);
  ASSERT_EQ(taken.frames.size(), 2U);
  const FrameDescriptor& silent = taken.frames[0].descriptor();
  EXPECT_TRUE(std::isnan(silent.photon_energy_ev));
  EXPECT_EQ(silent.original_height, 48U);
  const FrameDescriptor& said = taken.frames[1].descriptor();
  EXPECT_EQ(said.event_id, 5U);
  EXPECT_EQ(said.photon_energy_ev, 9000);
  EXPECT_EQ(said.original_height, 48U);
  EXPECT_EQ(said.original_width, 64U);
  for (const auto& frame : taken.frames) {
    EXPECT_EQ(frame.descriptor().fiducial, kNoFiducial);
    EXPECT_TRUE(std::isnan(frame.descriptor().encoder_value));
  }
  for (const auto& frame : taken.frames)
    EXPECT_EQ(std::memcmp(frame.image().data(), pixels.data(), shape.image_bytes), 0);
  peaknet_producer_detach(producer);
}

TEST(CApi, an_image_is_copied_into_the_slot_byte_for_byte) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_geometry shape{};
  ASSERT_EQ(peaknet_producer_geometry(producer, &shape), PEAKNET_OK);
  std::vector<std::uint16_t> pixels(shape.image_bytes / 2);
  std::iota(pixels.begin(), pixels.end(), std::uint16_t{5});
  peaknet_frame* frame = claim(producer);
  EXPECT_EQ(peaknet_copy_image(peaknet_frame_image(frame), pixels.data(), shape.image_bytes), PEAKNET_OK);
  ASSERT_EQ(peaknet_commit(frame, nullptr), PEAKNET_OK) << peaknet_last_error();
  auto device = instance.consumer(Queue::q1);
  const auto taken = device->take(1);
  ASSERT_EQ(taken.frames.size(), 1U);
  EXPECT_EQ(std::memcmp(taken.frames[0].image().data(), pixels.data(), shape.image_bytes), 0);
  peaknet_producer_detach(producer);
}

TEST(CApi, pixels_of_another_shape_are_refused_with_both_shapes_and_none_is_read) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_geometry shape{};
  ASSERT_EQ(peaknet_producer_geometry(producer, &shape), PEAKNET_OK);
  const std::uint16_t too_few = 0;
  shape.height += 1;
  EXPECT_EQ(peaknet_put(producer, &too_few, &shape, nullptr, kSecond, nullptr), PEAKNET_E_SHAPE);
  EXPECT_NE(std::string(peaknet_last_error()).find("uint16 [1,49,64], the pool's frames are uint16 [1,48,64]"),
            std::string::npos)
      << peaknet_last_error();
  shape.height -= 1;
  shape.pixel_type = 77;
  EXPECT_EQ(peaknet_put(producer, &too_few, &shape, nullptr, kSecond, nullptr), PEAKNET_E_SHAPE);
  EXPECT_EQ(instance.total(Counter::committed), 0U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 8U);
  peaknet_producer_detach(producer);
}

TEST(CApi, an_info_that_does_not_fit_is_refused_and_the_slot_is_free_again) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_frame* frame = claim(producer);
  peaknet_frame_info(frame)->pad_left = 1;
  EXPECT_EQ(peaknet_commit(frame, nullptr), PEAKNET_E_BAD_DESCRIPTOR);
  EXPECT_STREQ(peaknet_last_error_id(), "frame.bad-descriptor");
  peaknet_abandon(claim(producer));
  EXPECT_EQ(instance.slots_in(SlotState::free), 8U);
  EXPECT_EQ(instance.total(Counter::aborted), 2U);
  EXPECT_EQ(instance.total(Counter::committed), 0U);
  peaknet_producer_detach(producer);
}

TEST(CApi, a_full_pool_is_a_status_with_a_text_and_the_policy_of_the_producer_holds) {
  TestInstance instance({.geometry = small_frames(2)});
  commit_one(instance, 1);
  commit_one(instance, 2);
  peaknet_producer* producer = attach(instance);
  peaknet_frame* frame = nullptr;
  EXPECT_EQ(peaknet_claim(producer, 0, &frame), PEAKNET_E_POOL_FULL);
  EXPECT_EQ(frame, nullptr);
  EXPECT_NE(std::string(peaknet_last_error()).find("2 frames wait for a device"), std::string::npos);
  peaknet_producer_detach(producer);
  producer = attach(instance, PEAKNET_DROP_OLDEST);
  EXPECT_EQ(peaknet_commit(claim(producer), nullptr), PEAKNET_OK);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 1U);
  peaknet_producer_detach(producer);
  EXPECT_BALANCED(instance);
}

TEST(CApi, handles_may_be_ended_in_any_order) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_frame* first = claim(producer);
  peaknet_frame* second = claim(producer);
  peaknet_producer_detach(producer);
  EXPECT_EQ(peaknet_commit(second, nullptr), PEAKNET_OK);
  peaknet_abandon(first);
  infer_one(instance);
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  peaknet_consumer_detach(consumer);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  for (const auto& record : instance.layout().participants) EXPECT_NE(record.presence.load(), Presence::attached);
  EXPECT_BALANCED(instance);
}

TEST(CApi, a_consumer_takes_gives_back_and_finishes) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_result* result = nullptr;
  EXPECT_EQ(peaknet_take(consumer, 0, &result), PEAKNET_NOTHING);
  commit_one(instance, 3);
  infer_one(instance);
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  const peaknet_descriptor* seen = peaknet_result_descriptor(result);
  EXPECT_EQ(seen->info.event_id, 3U);
  EXPECT_STREQ(seen->run, "run-9");
  EXPECT_EQ(seen->result, PEAKNET_MASK);
  EXPECT_EQ(seen->last_writer, 0U);
  EXPECT_EQ(static_cast<const std::uint16_t*>(peaknet_result_image(result))[7], 3);
  EXPECT_EQ(peaknet_result_mask(result)[47], 0xf0U);
  EXPECT_EQ(peaknet_finish(result, 17), PEAKNET_E_ARGUMENT) << "and it is still ours";
  peaknet_give_back(result);
  ASSERT_EQ(peaknet_take(consumer, 0, &result), PEAKNET_OK);
  EXPECT_NE(peaknet_result_descriptor(result)->last_writer, 0U);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_FILTERED), PEAKNET_OK);

  commit_one(instance, 4);
  infer_one(instance, ResultStatus::error);
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  EXPECT_EQ(peaknet_result_mask(result), nullptr);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_FAILED), PEAKNET_OK);

  for (const peaknet_outcome outcome : {PEAKNET_FAILED, PEAKNET_FILTERED}) {
    commit_one(instance, 5);
    infer_one(instance, ResultStatus::skipped);
    ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
    EXPECT_EQ(peaknet_result_descriptor(result)->result, PEAKNET_SKIPPED);
    EXPECT_EQ(peaknet_result_mask(result), nullptr);
    EXPECT_EQ(peaknet_finish(result, outcome), PEAKNET_OK);
  }
  EXPECT_EQ(instance.total(Counter::dropped_shed), 2U);
  EXPECT_EQ(instance.total(Counter::skipped), 2U);
  EXPECT_EQ(instance.total(Counter::filtered), 1U);
  EXPECT_EQ(instance.total(Counter::failed_model), 1U);
  peaknet_consumer_detach(consumer);
  EXPECT_BALANCED(instance);
}

TEST(CApi, a_consumer_is_asked_to_close_once_it_has_nothing_left_until_it_answers) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  commit_one(instance, 1);
  infer_one(instance);
  instance.layout().run.close_generation.store(1);
  peaknet_result *result = nullptr, *none = nullptr;
  ASSERT_EQ(peaknet_take(consumer, 0, &result), PEAKNET_OK);
  EXPECT_EQ(peaknet_take(consumer, 0, &none), PEAKNET_NOTHING) << "it holds a result";
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  EXPECT_EQ(peaknet_take(consumer, kSecond, &none), PEAKNET_CLOSE);
  EXPECT_EQ(peaknet_take(consumer, kSecond, &none), PEAKNET_CLOSE);
  EXPECT_EQ(peaknet_closed(consumer), PEAKNET_OK);
  EXPECT_EQ(peaknet_take(consumer, 0, &none), PEAKNET_NOTHING);
  peaknet_consumer_detach(consumer);
}

TEST(CApi, a_consumer_moves_over_to_the_next_pool_when_the_old_one_is_empty) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  instance.next_epoch({4, 3, 16, 16, PixelType::uint16});
  commit_one(instance, 8);
  infer_one(instance);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  EXPECT_EQ(peaknet_result_descriptor(result)->panels, 3U);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  peaknet_consumer_detach(consumer);
}

TEST(CApi, a_tap_has_a_copy_of_the_newest_frame) {
  TestInstance instance;
  peaknet_tap* tap = nullptr;
  ASSERT_EQ(peaknet_tap_open(instance.name().c_str(), &tap), PEAKNET_OK);
  EXPECT_EQ(peaknet_tap_latest(tap, PEAKNET_NEWEST_FRAME), PEAKNET_NOTHING);
  EXPECT_EQ(peaknet_tap_image(tap), nullptr);
  peaknet_geometry geometry{};
  EXPECT_EQ(peaknet_tap_geometry(tap, &geometry), PEAKNET_E_ARGUMENT);
  commit_one(instance, 3);
  ASSERT_EQ(peaknet_tap_latest(tap, PEAKNET_NEWEST_FRAME), PEAKNET_OK);
  EXPECT_EQ(peaknet_tap_mask(tap), nullptr);
  EXPECT_EQ(peaknet_tap_latest(tap, PEAKNET_NEWEST_RESULT), PEAKNET_NOTHING);
  commit_one(instance, 4);
  infer_one(instance);
  infer_one(instance);
  ASSERT_EQ(peaknet_tap_latest(tap, PEAKNET_NEWEST_RESULT), PEAKNET_OK);
  EXPECT_EQ(peaknet_tap_descriptor(tap)->info.event_id, 4U);
  EXPECT_EQ(peaknet_tap_descriptor(tap)->state, PEAKNET_DONE);
  EXPECT_EQ(static_cast<const std::uint16_t*>(peaknet_tap_image(tap))[5], 4);
  EXPECT_EQ(peaknet_tap_mask(tap)[5], 0xf0U);
  ASSERT_EQ(peaknet_tap_geometry(tap, &geometry), PEAKNET_OK);
  EXPECT_EQ(geometry.width, 64U);
  peaknet_tap_close(tap);
}

TEST(CApi, what_a_forked_child_inherited_is_without_effect) {
  TestInstance instance;
  commit_one(instance, 1);
  infer_one(instance);
  peaknet_producer* producer = attach(instance);
  peaknet_frame* frame = claim(producer);
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK);
  auto child = Child::run([&] {
    peaknet_frame* other = nullptr;
    peaknet_result* none = nullptr;
    if (peaknet_claim(producer, 0, &other) != PEAKNET_E_FORKED) return 1;
    if (peaknet_commit(frame, nullptr) != PEAKNET_E_FORKED) return 2;
    if (peaknet_take(consumer, 0, &none) != PEAKNET_E_FORKED) return 3;
    if (peaknet_finish(result, PEAKNET_WRITTEN) != PEAKNET_E_FORKED) return 4;
    if (peaknet_closed(consumer) != PEAKNET_E_FORKED) return 5;
    const std::uint16_t pixel = 0;
    const peaknet_geometry shape{};
    if (peaknet_put(producer, &pixel, &shape, nullptr, 0, nullptr) != PEAKNET_E_FORKED) return 7;
    peaknet_producer_detach(producer);
    peaknet_consumer_detach(consumer);
    producer = attach(instance);
    return peaknet_commit(claim(producer), nullptr) == PEAKNET_OK ? 0 : 6;
  });
  EXPECT_EQ(child.wait(), Exit::code(0));
  EXPECT_EQ(peaknet_commit(frame, nullptr), PEAKNET_OK);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  peaknet_producer_detach(producer);
  peaknet_consumer_detach(consumer);
  EXPECT_BALANCED(instance);
  EXPECT_EQ(instance.total(Counter::committed), 3U);
}

TEST(CApi, each_error_has_its_number_and_each_thread_its_last_error) {
  TestInstance instance({.with_pool = false});
  peaknet_producer* producer = nullptr;
  EXPECT_EQ(peaknet_producer_attach(instance.name().c_str(), "c", PEAKNET_POOL_POLICY, &producer), PEAKNET_E_NO_POOL);
  std::thread([&] {
    EXPECT_STREQ(peaknet_last_error(), "") << "that was another thread";
    EXPECT_EQ(peaknet_producer_attach("not-there", "c", PEAKNET_POOL_POLICY, &producer), PEAKNET_E_ABSENT);
    EXPECT_STREQ(peaknet_last_error_id(), "shm.absent");
  }).join();
  EXPECT_STREQ(peaknet_last_error_id(), "pool.none");
  EXPECT_EQ(peaknet_producer_attach("a/b", "c", PEAKNET_POOL_POLICY, &producer), PEAKNET_E_NAME);
  EXPECT_EQ(producer, nullptr);
}

TEST(CApi, where_nothing_comes_in_time_that_is_said_and_is_no_error) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_geometry geometry{};
  ASSERT_EQ(peaknet_consumer_geometry(consumer, &geometry), PEAKNET_OK);
  EXPECT_EQ(geometry.slots, instance.pool().geometry().slots);
  peaknet_result* result = nullptr;
  EXPECT_EQ(peaknet_take(consumer, 20'000'000, &result), PEAKNET_NOTHING);
  EXPECT_EQ(peaknet_take(consumer, 0, &result), PEAKNET_NOTHING);
  EXPECT_EQ(peaknet_closed(consumer), PEAKNET_OK) << "nobody asked: an answer changes nothing";
  EXPECT_EQ(peaknet_take(consumer, -1, &result), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_take(consumer, 0, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_consumer_geometry(consumer, nullptr), PEAKNET_E_ARGUMENT);
  peaknet_consumer_detach(consumer);
}

TEST(CApi, a_signal_ends_a_step_of_a_wait) {
  TestInstance instance({.geometry = small_frames(2)});
  commit_one(instance, 7);
  commit_one(instance, 8);
  peaknet_producer* producer = attach(instance);
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  std::atomic<int> sleeps{0};  // counted by the thread that answers, read by the one that waits
  const auto interrupt_one = [&](const test::Call&) { return ++sleeps % 2 == 1 ? EINTR : 0; };
  const bool watched = test::with_watched_calls({{SYS_futex, 1, FUTEX_WAIT}}, interrupt_one, [&] {
    peaknet_result* result = nullptr;
    EXPECT_EQ(peaknet_take_step(consumer, 3600 * kSecond, &result), PEAKNET_NOTHING);
    EXPECT_EQ(sleeps.exchange(0), 1) << "who called looks at the signal before the next sleep";
    peaknet_frame* frame = nullptr;
    EXPECT_EQ(peaknet_claim_step(producer, 3600 * kSecond, 0, &frame), PEAKNET_NOTHING);
    EXPECT_EQ(sleeps.exchange(0), 1);
    EXPECT_EQ(peaknet_take(consumer, kSecond / 20, &result), PEAKNET_NOTHING);
    EXPECT_GT(sleeps.load(), 1) << "a wait in one call goes on";
  });
  peaknet_producer_detach(producer);
  peaknet_consumer_detach(consumer);
  if (!watched) GTEST_SKIP() << test::kCannotWatch;
}

TEST(CApi, a_description_that_was_written_over_is_counted_and_the_next_frame_comes) {
  TestInstance instance;
  for (const std::uint16_t value : {std::uint16_t{1}, std::uint16_t{2}}) {
    commit_one(instance, value);
    infer_one(instance);
  }
  for (std::uint32_t slot = 0; slot < instance.pool().geometry().slots; ++slot) {
    auto& descriptor = instance.pool().descriptor(slot);
    if (descriptor.event_id == 1) descriptor.panels = 77;
  }
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK) << peaknet_last_error();
  EXPECT_EQ(peaknet_result_descriptor(result)->info.event_id, 2U);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_FAILED), PEAKNET_OK);
  EXPECT_EQ(instance.total(Counter::failed_descriptor), 1U);
  EXPECT_EQ(instance.total(Counter::failed_mask), 1U) << "it had a mask";
  EXPECT_BALANCED(instance);
  peaknet_consumer_detach(consumer);
}

TEST(CApi, a_slot_that_somebody_overwrote_is_an_error_of_its_frame_alone) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  const auto overwrite = [&] {
    for (std::uint32_t slot = 0; slot < instance.pool().geometry().slots; ++slot) {
      const auto word = StateWord::unpack(instance.pool().word(slot).load());
      if (word.held()) instance.pool().word(slot).store(StateWord{word.sequence, 0, 0, SlotState::free}.pack());
    }
  };
  peaknet_frame* frame = claim(producer);
  overwrite();
  EXPECT_EQ(peaknet_commit(frame, nullptr), PEAKNET_E_LOST);
  commit_one(instance, 3);
  infer_one(instance);
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  peaknet_result* result = nullptr;
  ASSERT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_OK) << peaknet_last_error();
  overwrite();
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_E_LOST);
  EXPECT_EQ(instance.total(Counter::written), 0U);
  frame = claim(producer);
  EXPECT_EQ(peaknet_commit(frame, nullptr), PEAKNET_OK) << peaknet_last_error();
  peaknet_consumer_detach(consumer);
  peaknet_producer_detach(producer);
}

TEST(CApi, a_consumer_of_an_instance_that_was_removed_is_told_so) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  instance.drop_owner();
  test::remove_shared_memory(instance.name());
  peaknet_result* result = nullptr;
  EXPECT_EQ(peaknet_take(consumer, kSecond, &result), PEAKNET_E_REMOVED) << peaknet_last_error();
  peaknet_consumer_detach(consumer);
}

TEST(CApi, who_is_not_there_is_absent_for_every_door) {
  peaknet_producer* producer = nullptr;
  peaknet_consumer* consumer = nullptr;
  peaknet_tap* tap = nullptr;
  EXPECT_EQ(peaknet_producer_attach("nobody-has-this", "c", PEAKNET_POOL_POLICY, &producer), PEAKNET_E_ABSENT);
  EXPECT_EQ(peaknet_consumer_attach("nobody-has-this", "c", &consumer), PEAKNET_E_ABSENT);
  EXPECT_EQ(peaknet_tap_open("nobody-has-this", &tap), PEAKNET_E_ABSENT);
}

TEST(CApi, a_null_is_an_argument_error_and_never_a_crash) {
  peaknet_producer* producer = nullptr;
  peaknet_frame* frame = nullptr;
  peaknet_result* result = nullptr;
  peaknet_consumer* consumer = nullptr;
  peaknet_tap* tap = nullptr;
  peaknet_geometry geometry{};
  EXPECT_EQ(peaknet_producer_attach(nullptr, "c", PEAKNET_POOL_POLICY, &producer), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_attach("mfx", nullptr, PEAKNET_POOL_POLICY, &producer), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_attach("mfx", "c", PEAKNET_POOL_POLICY, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_attach("mfx", "c", 3, &producer), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_geometry(nullptr, &geometry), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_number(nullptr), 0U);
  EXPECT_EQ(peaknet_copy_image(peaknet_frame_image(nullptr), &geometry, sizeof geometry), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_copy_image(&geometry, nullptr, sizeof geometry), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_claim(nullptr, 0, &frame), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_claim(nullptr, 0, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_frame_image(nullptr), nullptr);
  EXPECT_EQ(peaknet_frame_info(nullptr), nullptr);
  EXPECT_EQ(peaknet_commit(nullptr, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_consumer_attach(nullptr, "c", &consumer), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_consumer_attach("mfx", "c", nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_consumer_geometry(nullptr, &geometry), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_take(nullptr, 0, &result), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_closed(nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_result_descriptor(nullptr), nullptr);
  EXPECT_EQ(peaknet_result_image(nullptr), nullptr);
  EXPECT_EQ(peaknet_result_mask(nullptr), nullptr);
  EXPECT_EQ(peaknet_finish(nullptr, PEAKNET_WRITTEN), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_tap_open(nullptr, &tap), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_tap_latest(nullptr, PEAKNET_NEWEST_FRAME), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_tap_descriptor(nullptr), nullptr);
  EXPECT_EQ(peaknet_tap_image(nullptr), nullptr);
  EXPECT_EQ(peaknet_tap_mask(nullptr), nullptr);
  EXPECT_EQ(peaknet_tap_geometry(nullptr, &geometry), PEAKNET_E_ARGUMENT);
  peaknet_producer_detach(nullptr);
  peaknet_abandon(nullptr);
  peaknet_consumer_detach(nullptr);
  peaknet_give_back(nullptr);
  peaknet_tap_close(nullptr);
  TestInstance instance;
  producer = attach(instance);
  EXPECT_EQ(peaknet_claim(producer, -1, &frame), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_producer_geometry(producer, nullptr), PEAKNET_E_ARGUMENT);
  peaknet_producer* other = nullptr;
  for (const int policy : {-2, 3}) {
    EXPECT_EQ(peaknet_producer_attach(instance.name().c_str(), "c", static_cast<peaknet_policy>(policy), &other),
              PEAKNET_E_ARGUMENT);
  }
  EXPECT_EQ(peaknet_consumer_attach(instance.name().c_str(), nullptr, &consumer), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_tap_open(instance.name().c_str(), nullptr), PEAKNET_E_ARGUMENT);
  ASSERT_EQ(peaknet_tap_open(instance.name().c_str(), &tap), PEAKNET_OK);
  EXPECT_EQ(peaknet_tap_descriptor(tap), nullptr) << "it has not looked yet";
  EXPECT_EQ(peaknet_tap_latest(tap, static_cast<peaknet_want>(3)), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_tap_geometry(tap, nullptr), PEAKNET_E_ARGUMENT);
  peaknet_tap_close(tap);
  const std::uint16_t pixel = 0;
  peaknet_info_unknown(nullptr);
  EXPECT_EQ(peaknet_put(nullptr, &pixel, &geometry, nullptr, 0, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_put(producer, nullptr, &geometry, nullptr, 0, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_put(producer, &pixel, nullptr, nullptr, 0, nullptr), PEAKNET_E_ARGUMENT);
  EXPECT_EQ(peaknet_put(producer, &pixel, &geometry, nullptr, -1, nullptr), PEAKNET_E_ARGUMENT);
  peaknet_producer_detach(producer);
}

TEST(CApi, half_of_a_size_is_refused_and_no_size_is_the_whole_panel) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_geometry shape{};
  ASSERT_EQ(peaknet_producer_geometry(producer, &shape), PEAKNET_OK);
  const std::vector<std::uint16_t> pixels(shape.image_bytes / 2);
  peaknet_info info{};
  peaknet_info_unknown(&info);
  info.original_width = 64;
  EXPECT_EQ(peaknet_put(producer, pixels.data(), &shape, &info, 0, nullptr), PEAKNET_E_BAD_DESCRIPTOR);
  EXPECT_EQ(instance.slots_in(SlotState::free), 8U);
  info.original_width = 0;
  EXPECT_EQ(peaknet_put(producer, pixels.data(), &shape, &info, 0, nullptr), PEAKNET_OK);
  EXPECT_EQ(instance.consumer(Queue::q1)->take(1).frames.at(0).descriptor().original_height, 48U);
  peaknet_producer_detach(producer);
}

TEST(CApi, an_error_without_a_number_of_its_own_has_its_text) {
  TestInstance instance;
  peaknet_producer* producer = attach(instance);
  peaknet_frame* frame = claim(producer);
  instance.next_epoch(small_frames(3));
  peaknet_frame* none = nullptr;
  EXPECT_EQ(peaknet_claim(producer, 0, &none), PEAKNET_E_OTHER);
  EXPECT_STREQ(peaknet_last_error_id(), "pool.held");
  peaknet_abandon(frame);
  EXPECT_EQ(peaknet_claim(producer, 0, &none), PEAKNET_OK);
  peaknet_abandon(none);
  peaknet_producer_detach(producer);
}

TEST(CApi, a_consumer_leaves_a_replaced_pool_and_closes_only_when_the_last_frame_of_it_is_finished) {
  TestInstance instance;
  peaknet_consumer* consumer = nullptr;
  ASSERT_EQ(peaknet_consumer_attach(instance.name().c_str(), "c test", &consumer), PEAKNET_OK);
  auto device = instance.consumer(Queue::q1);
  commit_one(instance, 1);
  instance.next_epoch(small_frames(3));
  instance.layout().run.close_generation.store(1);
  peaknet_result *result = nullptr, *none = nullptr;
  peaknet_geometry geometry{};
  EXPECT_EQ(peaknet_take(consumer, 0, &none), PEAKNET_NOTHING) << "a frame of it is still to come";
  must(device->take(1).frames.at(0).publish(ResultStatus::mask));
  ASSERT_EQ(peaknet_take(consumer, 0, &result), PEAKNET_OK);
  EXPECT_EQ(peaknet_take(consumer, 0, &none), PEAKNET_NOTHING) << "it holds the last one";
  ASSERT_EQ(peaknet_consumer_geometry(consumer, &geometry), PEAKNET_OK);
  EXPECT_EQ(geometry.slots, 8U);
  EXPECT_EQ(peaknet_finish(result, PEAKNET_WRITTEN), PEAKNET_OK);
  EXPECT_EQ(peaknet_take(consumer, 0, &none), PEAKNET_CLOSE);
  ASSERT_EQ(peaknet_consumer_geometry(consumer, &geometry), PEAKNET_OK);
  EXPECT_EQ(geometry.slots, 3U);
  peaknet_consumer_detach(consumer);
}

}  // namespace
}  // namespace peaknet::shm
