#include "feed/deliver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "feed/simulated_source.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using shm::Counter;
using shm::FullPolicy;
using test::TestInstance;
using Outcome = Delivery::Outcome;

constexpr shm::Geometry kFrames{4, 1, 32, 48, PixelType::uint16};
SimulationOptions ten_frames() { return {10, 1, 0.5}; }

class Bad : public FrameSource {
 public:
  const shm::Geometry& geometry() const override { return kFrames; }
  std::uint64_t size() const override { return 1; }
  Result<Filled> fill(std::uint64_t, SlotView) override { return Error{"frame.value", "bad", "", ""}; }
};

TEST(Deliver, AFrameArrivesWithWhatIsKnownAboutIt) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  test::Reader reader(instance);
  SimulatedSource source(kFrames, ten_frames());
  EXPECT_EQ(deliver(source, 7, *producer, {}).outcome, Outcome::committed);
  const auto arrived = reader.take();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].info.event_id, 7U);
  EXPECT_EQ(arrived[0].image, test::fill(source, 7).image);
  EXPECT_BALANCED(instance);
}

TEST(Deliver, AFullPoolThatRefusesNewFramesIsNoFailure) {
  const TestInstance instance({.geometry = kFrames, .full = FullPolicy::drop_newest});
  const auto producer = instance.producer();
  SimulatedSource source(kFrames, ten_frames());
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(deliver(source, i, *producer, {}).outcome, Outcome::committed);
  EXPECT_EQ(deliver(source, 4, *producer, {}).outcome, Outcome::refused);
  EXPECT_EQ(instance.total(Counter::refused_full), 1U);
}

TEST(Deliver, AFullPoolThatDropsTheOldestTakesEveryFrame) {
  const TestInstance instance({.geometry = kFrames, .full = FullPolicy::drop_oldest});
  const auto producer = instance.producer();
  SimulatedSource source(kFrames, ten_frames());
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_EQ(deliver(source, i, *producer, {}).outcome, Outcome::committed);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 6U);
  EXPECT_BALANCED(instance);
}

TEST(Deliver, AFullPoolThatBlocksIsWaitedForUntilASlotIsFree) {
  const TestInstance instance({.geometry = kFrames});
  SimulatedSource source(kFrames, ten_frames());
  const auto producer = instance.producer();
  for (std::uint64_t i = 0; i < 4; ++i) deliver(source, i, *producer, {});
  std::jthread device([&] { test::Reader(instance).take(); });
  EXPECT_EQ(deliver(source, 4, *producer, {}).outcome, Outcome::committed);
}

// However long it waits: nothing was refused.
TEST(Deliver, AFrameThatWaitsForASlotIsBlockedAndNotRefused) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  SimulatedSource source(kFrames, ten_frames());
  for (std::uint64_t i = 0; i < 4; ++i) deliver(source, i, *producer, {});
  SlotWait wait;
  std::stop_source stop;
  std::jthread stopper([&] {
    while (wait.text().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop.request_stop();
  });
  EXPECT_EQ(deliver(source, 4, *producer, stop.get_token(), {}, &wait).outcome, Outcome::stopped);
  EXPECT_THAT(wait.text(), testing::StartsWith("waiting: "));
  EXPECT_EQ(instance.total(Counter::refused_full), 0U);
  EXPECT_GE(instance.total(Counter::blocked_ns), 1'000'000'000U);
}

TEST(Deliver, AStopEndsTheWaitForASlot) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  SimulatedSource source(kFrames, ten_frames());
  for (std::uint64_t i = 0; i < 4; ++i) deliver(source, i, *producer, {});
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the wait has begun, most times
    stop.request_stop();
  });
  EXPECT_EQ(deliver(source, 4, *producer, stop.get_token()).outcome, Outcome::stopped);
}

TEST(Deliver, AFrameThatCannotBeHadGivesItsSlotBack) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  Bad source;
  const auto delivery = deliver(source, 0, *producer, {});
  EXPECT_EQ(delivery.outcome, Outcome::bad_frame);
  EXPECT_EQ(delivery.error->id, "frame.value");
  EXPECT_EQ(instance.slots_in(shm::SlotState::free), 4U);
  EXPECT_EQ(instance.total(Counter::committed), 0U);
}

// Gives the same value for all pixels.
class Plain : public FrameSource {
 public:
  Plain(const shm::Geometry& geometry, std::byte value, std::uint64_t no_counts = 0)
      : geometry_(geometry), value_(value), no_counts_(no_counts) {}
  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return 1; }
  Result<Filled> fill(std::uint64_t, SlotView slot) override {
    std::fill(slot.image.begin(), slot.image.end(), value_);
    return Filled{.no_counts = no_counts_};
  }

 private:
  shm::Geometry geometry_;
  std::byte value_;
  std::uint64_t no_counts_;
};

// What a program writes for an event that the detector did not give.
TEST(Deliver, AFrameWithoutAnyCountIsNone) {
  shm::Geometry floats = kFrames;
  floats.pixel_type = PixelType::float32;
  Plain nan(floats, std::byte{0xff}), gaps(kFrames, std::byte{0}, kFrames.pixels());
  for (FrameSource* source : {static_cast<FrameSource*>(&nan), static_cast<FrameSource*>(&gaps)}) {
    const TestInstance instance({.geometry = source->geometry()});
    const auto producer = instance.producer();
    const auto delivery = deliver(*source, 0, *producer, {});
    EXPECT_EQ(delivery.outcome, Outcome::bad_frame);
    EXPECT_EQ(delivery.error->id, "frame.absent");
    EXPECT_EQ(instance.total(Counter::committed), 0U);
  }
}

// They may have been measured, or never written: that is told.
TEST(Deliver, AFrameOfNothingButZerosIsTakenAndTold) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  Plain zeros(kFrames, std::byte{0}), ones(kFrames, std::byte{1});
  EXPECT_TRUE(deliver(zeros, 0, *producer, {}).zeros);
  EXPECT_FALSE(deliver(ones, 0, *producer, {}).zeros);
  EXPECT_EQ(instance.total(Counter::committed), 2U);
}

TEST(Deliver, APoolOfOtherFramesEndsTheRowAndOneOfMoreSlotsDoesNot) {
  TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  SimulatedSource source(kFrames, ten_frames());
  shm::Geometry more = kFrames, other = kFrames;
  more.slots = 6;
  other.height = 40;
  instance.next_epoch(more);
  EXPECT_EQ(deliver(source, 0, *producer, {}).outcome, Outcome::committed);
  instance.next_epoch(other);
  const auto delivery = deliver(source, 1, *producer, {});
  EXPECT_EQ(delivery.outcome, Outcome::no_pool);
  EXPECT_EQ(delivery.error->id, "pool.changed");
  EXPECT_THAT(delivery.error->text(), testing::AllOf(testing::HasSubstr("[1,40,48]"), testing::HasSubstr("[1,32,48]")));
}

TEST(AttachProducer, WithoutADaemonTheErrorSaysWhatToStart) {
  const auto producer = attach_producer(TestInstance::unique_name(), "feed", std::chrono::seconds(0), {});
  ASSERT_FALSE(producer.ok());
  EXPECT_EQ(producer.error().id, "shm.absent");
  EXPECT_THAT(producer.error().text(), testing::HasSubstr("start peaknetd"));
}

TEST(AttachProducer, WaitsForTheInstanceAsLongAsItWasTold) {
  TestInstance instance({.geometry = kFrames, .with_pool = false});
  std::jthread daemon([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    instance.next_epoch(kFrames);
  });
  EXPECT_TRUE(attach_producer(instance.name(), "feed", std::chrono::seconds(20), {}).ok());
  daemon.join();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(attach_producer("peaknet-nobody-here", "feed", std::chrono::hours(1), stop.get_token()).error().id,
            "shm.absent");
}

}  // namespace
}  // namespace peaknet::feed
