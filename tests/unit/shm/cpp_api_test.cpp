// The C++ header over the C ABI: what goes in through peaknet_shm.hpp arrives, and each handle releases itself.
#include "shm/peaknet_shm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::must;
using test::small_frames;
using test::TestInstance;

static_assert(std::is_nothrow_move_constructible_v<peaknet_shm::Frame>);
static_assert(!std::is_copy_constructible_v<peaknet_shm::Frame>);
static_assert(!std::is_copy_constructible_v<peaknet_shm::Producer>);
static_assert(!std::is_copy_constructible_v<peaknet_shm::Result>);

void infer_one(const TestInstance& instance) {
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1, kMaxSequence, "run-9");
  std::ranges::fill(taken.frames.at(0).mask(), 0xf0U);
  must(taken.frames.at(0).publish(ResultStatus::mask));
}

TEST(CppApi, what_a_producer_writes_and_says_arrives) {
  TestInstance instance;
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  auto frame = producer.claim(1s);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->image().size(), 48U * 64U * 2U);
  EXPECT_EQ(frame->geometry().width, 64U);
  EXPECT_TRUE(std::isnan(frame->info().photon_energy_ev));
  std::ranges::fill(frame->pixels<std::uint16_t>(), std::uint16_t{7});
  frame->info().event_id = 5;
  EXPECT_EQ(frame->commit(), 0U);

  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1);
  EXPECT_EQ(taken.frames.at(0).descriptor().event_id, 5U);
  EXPECT_EQ(taken.frames.at(0).descriptor().producer, producer.number());
  EXPECT_EQ(std::ranges::count(taken.frames.at(0).image(), std::byte{7}), 48 * 64);
}

TEST(CppApi, a_frame_that_is_not_committed_never_existed) {
  TestInstance instance({.geometry = small_frames(2)});
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(producer.claim(1s));
  EXPECT_EQ(instance.total(Counter::committed), 0U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 2U);
}

TEST(CppApi, a_full_pool_is_empty_and_counted_as_refused) {
  TestInstance instance({.geometry = small_frames(2)});
  peaknet_shm::Producer producer(instance.name(), "c++ test", peaknet_shm::Policy::drop_newest);
  auto first = producer.claim(0s), second = producer.claim(0s);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(producer.claim(0s));
  const std::vector<std::uint16_t> pixels(48 * 64);
  EXPECT_FALSE(producer.put(std::span(pixels), {1, 48, 64}, peaknet_shm::unknown_info(), 0s));
  EXPECT_EQ(instance.total(Counter::refused_full), 2U);
}

TEST(CppApi, a_frame_may_outlive_its_producer) {
  TestInstance instance;
  std::optional<peaknet_shm::Frame> frame;
  {
    peaknet_shm::Producer producer(instance.name(), "c++ test");
    frame = producer.claim(1s);
  }
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->commit(), 0U);
  EXPECT_EQ(instance.total(Counter::committed), 1U);
}

TEST(CppApi, pixels_from_elsewhere_are_put_in_one_call_and_others_are_refused) {
  TestInstance instance;
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  const std::vector<std::uint16_t> pixels(48 * 64, 3);
  auto info = peaknet_shm::unknown_info();
  info.event_id = 9;
  EXPECT_EQ(producer.put(std::span(pixels), {1, 48, 64}, info, 1s), 0U);
  EXPECT_THROW((void)producer.put(std::span(pixels), {1, 48, 65}, info, 1s), std::invalid_argument);
  try {
    (void)producer.put(std::span(pixels), {1, 64, 48}, info, 1s);
    FAIL() << "another shape was taken";
  } catch (const peaknet_shm::Error& error) {
    EXPECT_EQ(error.status(), PEAKNET_E_SHAPE);
    EXPECT_EQ(error.id(), "frame.other-shape");
  }
  EXPECT_EQ(instance.total(Counter::committed), 1U);
}

TEST(CppApi, wrong_calls_are_logic_errors_and_touch_no_memory) {
  TestInstance instance;
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  auto frame = producer.claim(1s);
  ASSERT_TRUE(frame);
  EXPECT_THROW((void)frame->pixels<float>(), std::invalid_argument);
  frame->commit();
  EXPECT_THROW((void)frame->image(), std::logic_error);
  EXPECT_THROW((void)frame->info(), std::logic_error);
  EXPECT_THROW((void)frame->commit(), peaknet_shm::Error);
  std::vector<std::byte> small(1), large(2);
  EXPECT_THROW(peaknet_shm::copy_image(small, large), std::invalid_argument);
  peaknet_shm::copy_image(large, large);
}

TEST(CppApi, who_is_not_there_is_an_error_with_its_id_and_remedy) {
  try {
    peaknet_shm::Producer producer("nobody-has-this", "c++ test");
    FAIL() << "attached to nothing";
  } catch (const peaknet_shm::Error& error) {
    EXPECT_EQ(error.id(), "shm.absent");
    EXPECT_NE(std::string(error.what()).find("Try: "), std::string::npos) << error.what();
  }
  EXPECT_THROW(peaknet_shm::Consumer("nobody-has-this", "c++ test"), peaknet_shm::Error);
  EXPECT_THROW(peaknet_shm::Tap("nobody-has-this"), peaknet_shm::Error);
}

TEST(CppApi, a_consumer_takes_gives_back_and_finishes) {
  TestInstance instance;
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  auto frame = producer.claim(1s);
  std::ranges::fill(frame->pixels<std::uint16_t>(), std::uint16_t{4});
  frame->commit();
  infer_one(instance);

  peaknet_shm::Consumer consumer(instance.name(), "c++ test");
  EXPECT_TRUE(consumer.take(1s)) << "and its destructor gives it back";
  auto result = consumer.take(1s);
  ASSERT_TRUE(result);
  EXPECT_EQ(std::string(result->descriptor().run), "run-9");
  EXPECT_EQ(result->pixels<std::uint16_t>().size(), 48U * 64U);
  EXPECT_EQ(result->pixels<std::uint16_t>()[11], 4);
  EXPECT_EQ(result->image().size(), 48U * 64U * 2U);
  ASSERT_EQ(result->mask().size(), 48U);
  EXPECT_EQ(result->mask()[47], 0xf0U);
  result->finish(peaknet_shm::Outcome::written);
  EXPECT_THROW((void)result->image(), std::logic_error);
  EXPECT_FALSE(consumer.take(0s));
  EXPECT_FALSE(consumer.close_is_wanted());
  EXPECT_EQ(instance.total(Counter::written), 1U);
  EXPECT_BALANCED(instance);
}

TEST(CppApi, a_consumer_is_asked_to_close_until_it_answers) {
  TestInstance instance;
  peaknet_shm::Consumer consumer(instance.name(), "c++ test");
  EXPECT_FALSE(consumer.take(0s));
  EXPECT_FALSE(consumer.close_is_wanted());
  instance.layout().run.close_generation.store(1);
  EXPECT_FALSE(consumer.take(1s));
  EXPECT_TRUE(consumer.close_is_wanted());
  consumer.closed();
  EXPECT_FALSE(consumer.take(0s));
  EXPECT_FALSE(consumer.close_is_wanted());
}

TEST(CppApi, a_tap_has_a_copy_of_the_newest_frame) {
  TestInstance instance;
  peaknet_shm::Tap tap(instance.name());
  EXPECT_FALSE(tap.latest_frame());
  EXPECT_THROW((void)tap.descriptor(), std::logic_error);
  peaknet_shm::Producer producer(instance.name(), "c++ test");
  auto frame = producer.claim(1s);
  std::ranges::fill(frame->pixels<std::uint16_t>(), std::uint16_t{6});
  frame->commit();
  ASSERT_TRUE(tap.latest_frame());
  EXPECT_TRUE(tap.mask().empty());
  EXPECT_EQ(tap.pixels<std::uint16_t>()[5], 6);
  infer_one(instance);
  EXPECT_FALSE(tap.latest_result()) << "the frame that it has is no newer one";
  peaknet_shm::Tap results(instance.name());
  ASSERT_TRUE(results.latest_result());
  EXPECT_EQ(results.mask().size(), 48U);
}

}  // namespace
}  // namespace peaknet::shm
