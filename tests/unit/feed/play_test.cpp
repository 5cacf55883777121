#include "feed/play.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "feed/hdf5_source.hpp"
#include "feed/replay_source.hpp"
#include "feed/simulated_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using shm::Counter;
using shm::FullPolicy;
using test::TestInstance;

constexpr shm::Geometry kFrames{16, 1, 64, 64, PixelType::uint16};
using Producers = std::vector<std::unique_ptr<shm::Producer>>;

Producers producers(const TestInstance& instance, std::size_t n) {
  Producers all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(instance.producer());
  return all;
}

// Plays a simulation with n producers; what arrived, by event.
std::map<std::uint64_t, std::vector<std::byte>> simulated_with(std::size_t n) {
  const TestInstance instance({.geometry = kFrames});
  SimulatedSource source(kFrames, {200, 42, 0.4});
  const auto all = producers(instance, n);
  FeedCounters tally;
  std::map<std::uint64_t, std::vector<std::byte>> arrived;
  std::atomic<bool> played{false};
  std::jthread device([&] {
    test::Reader reader(instance);
    for (bool last = false; !last;) {
      last = played;
      for (auto& frame : reader.take())
        EXPECT_TRUE(arrived.emplace(frame.info.event_id, std::move(frame.image)).second);
      std::this_thread::yield();
    }
  });
  EXPECT_FALSE(play(source, all, {}, tally, {}));
  played = true;
  device.join();
  EXPECT_EQ(tally.counts().committed, 200U);
  EXPECT_BALANCED(instance);
  return arrived;
}

TEST(Play, ASimulationIsTheSameWithOneProducerAndWithThree) {
  const auto one = simulated_with(1), three = simulated_with(3);
  EXPECT_EQ(one.size(), 200U);
  EXPECT_EQ(one, three);
}

TEST(Play, FramesThatThePoolRefusesAreCountedAndTheRestGoesOn) {
  const TestInstance instance({.geometry = kFrames, .full = FullPolicy::drop_newest});
  SimulatedSource source(kFrames, {50, 1, 0.5});
  FeedCounters tally;
  EXPECT_FALSE(play(source, producers(instance, 1), {}, tally, {}));
  EXPECT_EQ(tally.counts().committed, 16U);
  EXPECT_EQ(tally.counts().refused, 34U);
  EXPECT_EQ(instance.total(Counter::refused_full), 34U);
  EXPECT_BALANCED(instance);
}

TEST(Play, AFileWithBlanksAndRepeatsArrivesWhole) {
  const auto images = test::counting<std::uint16_t>(std::size_t{3} * 64 * 64, 5000);
  const auto path = test::FileWriter(test::temporary_file("play.h5")).add("/data/data", {3, 64, 64}, images).path();
  const TestInstance instance({.geometry = {32, 1, 64, 64, PixelType::uint16}});
  test::Reader reader(instance);
  std::vector<std::unique_ptr<FrameSource>> files;
  files.push_back(test::must(Hdf5Source::open(path, "", instance.pool().geometry(), Narrowing::refuse)));
  ReplaySource source(std::move(files), 2, 4);
  FeedCounters tally;
  EXPECT_FALSE(play(source, producers(instance, 1), {}, tally, {}));
  const auto arrived = reader.take();
  ASSERT_EQ(arrived.size(), 26U);
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    EXPECT_EQ(arrived[i].info.producer_seq, i);
    const auto pixels = arrived[i].pixels<std::uint16_t>();
    if (i % 5 == 0) {
      EXPECT_EQ(arrived[i].info.event_id, i / 5 % 3);
      EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), images.begin() + static_cast<long>(i / 5 % 3 * 64 * 64)));
    } else {
      EXPECT_EQ(*std::ranges::max_element(pixels), 0);
    }
  }
}

TEST(Play, TheFirstBadFrameEndsTheReplayAndTheFramesBeforeItStay) {
  auto images = test::counting<std::int32_t>(std::size_t{3} * 64 * 64, 5000);
  images[std::size_t{2} * 64 * 64 + 5] = -3;
  const auto path =
      test::FileWriter(test::temporary_file("bad_frame.h5")).add("/data/data", {3, 64, 64}, images).path();
  const TestInstance instance({.geometry = kFrames});
  const auto source = test::must(Hdf5Source::open(path, "", kFrames, Narrowing::refuse));
  FeedCounters tally;
  const auto failure = play(*source, producers(instance, 1), {}, tally, {});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->outcome, Delivery::Outcome::bad_frame);
  EXPECT_THAT(failure->error.text(), testing::AllOf(testing::HasSubstr("frame 2 of"), testing::HasSubstr("-3")));
  EXPECT_EQ(tally.counts().committed, 2U);
  EXPECT_THAT(tally.counts().failed, testing::ElementsAre(testing::Pair("frame.value", 1)));
  EXPECT_EQ(instance.slots_in(shm::SlotState::filling), 0U);
  EXPECT_BALANCED(instance);
}

TEST(Play, ARateIsKeptOverTheWholeRunByAllProducersTogether) {
  const TestInstance instance({.geometry = {64, 1, 64, 64, PixelType::uint16}});
  SimulatedSource source(instance.pool().geometry(), {50, 1, 0.1});
  FeedCounters tally;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(play(source, producers(instance, 2), {.hz = 250.0}, tally, {}));
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(spent, 49 / 250.0);  // never faster; how much slower is the machine's business
  EXPECT_EQ(tally.counts().committed, 50U);
}

TEST(Play, AStopEndsAllProducersBetweenTwoFrames) {
  const TestInstance instance({.geometry = kFrames});  // nobody takes the frames: producers wait for slots
  SimulatedSource source(kFrames, {1000, 1, 0.1});
  FeedCounters tally;
  std::stop_source stop;
  const auto all = producers(instance, 3);
  std::jthread stopper([&] {
    while (tally.counts().committed < 16) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_FALSE(play(source, all, {}, tally, stop.get_token()));
  EXPECT_EQ(tally.counts().committed, 16U);
  EXPECT_EQ(instance.slots_in(shm::SlotState::filling), 0U);
  EXPECT_EQ(instance.slots_in(shm::SlotState::ready), 16U);
}

}  // namespace
}  // namespace peaknet::feed
