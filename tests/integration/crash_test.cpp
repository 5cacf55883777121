// Programs killed with SIGKILL in the middle of the work, and started again: every committed frame is in exactly one
// file or counted, and the frame accounting balances.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

class Crash : public ::testing::TestWithParam<unsigned> {
 protected:
  Crash() : random_(GetParam()), system_({.model = "builtin:threshold=150", .slots = 24}) {
    RecordProperty("seed", static_cast<int>(GetParam()));
    system_.start_daemon();
    system_.start_writer();
  }

  Child producer(int frames) {
    return system_.launch("peaknet-feed", {"simulate", "--frames", std::to_string(frames), "--hit-fraction", "0.7",
                                           "--rate", "900", "--seed", std::to_string(random_() % 1000)});
  }
  void some_time() {
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + random_() % 400));
  }  // the random moment itself

  // Everything that was committed is somewhere, once.
  void expect_nothing_lost() {
    auto stop = system_.ctl({"stop", "--timeout", "60"});
    ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err() << system_.writer().err() << system_.daemon().err();
    const auto life = system_.stats().at("lifetime");
    EXPECT_EQ(life.at("imbalance"), 0) << life.dump(2);
    EXPECT_EQ(life.at("in_flight"), 0) << life.dump(2);
    const auto in_files = system_.frames_in_files();
    for (const auto& [key, times] : in_files)
      EXPECT_EQ(times, 1) << "producer " << key.first << " frame " << key.second;
    EXPECT_EQ(in_files.size(), life.at("written").get<std::size_t>()) << life.dump(2);
    EXPECT_EQ(life.at("written").get<int>() + life.at("filtered").get<int>(), life.at("committed").get<int>())
        << life.dump(2);
    EXPECT_TRUE(system_.unfinished().empty()) << system_.unfinished().front() << system_.writer().err();
  }

  std::mt19937 random_;
  System system_;
};

TEST_P(Crash, AKilledWriterLosesNothingAndDoublesNothing) {
  auto feed = producer(900);
  for (int i = 0; i < 2; ++i) {
    some_time();
    system_.writer().kill();
    system_.start_writer();
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  expect_nothing_lost();
  EXPECT_EQ(system_.stats().at("lifetime").at("committed"), 900);
}

TEST_P(Crash, AKilledDaemonFindsEveryFrameAgainAndTheRunGoesOn) {
  const std::string run = system_.stats().at("run");
  auto feed = producer(900);
  for (int i = 0; i < 2; ++i) {
    some_time();
    system_.daemon().kill();
    system_.start_daemon();
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_EQ(system_.stats().at("run"), run);
  expect_nothing_lost();
  EXPECT_EQ(system_.stats().at("lifetime").at("committed"), 900);
}

TEST_P(Crash, AKilledProducerCostsOnlyTheFrameItHadNotCommitted) {
  auto first = producer(5000);
  auto second = producer(600);
  some_time();
  first.kill();
  ASSERT_EQ(second.wait(), Exit::code(0)) << second.err();
  expect_nothing_lost();
  EXPECT_GE(system_.stats().at("lifetime").at("committed").get<int>(), 600);
}

TEST_P(Crash, AllThreeKilledInOneRunLoseNothing) {
  auto first = producer(5000);
  auto second = producer(900);
  some_time();
  system_.writer().kill();
  some_time();
  system_.daemon().kill();
  system_.start_daemon();
  system_.start_writer();
  first.kill();
  some_time();
  system_.writer().kill();
  system_.start_writer();
  ASSERT_EQ(second.wait(), Exit::code(0)) << second.err();
  expect_nothing_lost();
}

// Killed between retiring the pool and putting another in its place: whoever starts next with the old shape uses it
// again.
TEST(CrashOfTheDaemon, APoolThatItWasReplacingIsUsedAgainByTheNextOne) {
  System system({.slots = 8});
  system.start_daemon();
  system.daemon().kill();
  {
    const auto control_segment = must(shm::ControlSegment::open(system.instance(), shm::Access::read_write));
    must(control_segment->open_pool(shm::Access::read_write))->header().header.state.store(shm::SegmentState::retired);
  }
  system.start_daemon();
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", "4"});
  EXPECT_EQ(feed.wait_for(std::chrono::seconds(20)), Exit::code(0)) << feed.err();
  EXPECT_EQ(system.stats().at("lifetime").at("committed"), 4);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Crash, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace peaknet::test
