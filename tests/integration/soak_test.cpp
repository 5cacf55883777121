// Long forms of the main promises, not run by default (ctest -L soak): thousands of frames of 512 x 512 from three
// producers at once, undisturbed, and with the writer, a producer and the daemon killed at random moments, again and
// again. PEAKNET_SOAK_ROUNDS sets how many rounds of kills (default 10); the seed of a failing round is printed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

const System::Options kFull{.model = "builtin:threshold=150", .shape = "[1,512,512]", .slots = 32, .min_num_peak = 10};

std::vector<Child> three_producers(const System& system, const std::string& frames, const std::string& rate) {
  std::vector<Child> feeds;
  for (const char* seed : {"21", "22", "23"}) {
    std::vector<std::string> arguments{"simulate", "--frames", frames, "--hit-fraction", "0.3", "--seed", seed};
    if (!rate.empty()) arguments.insert(arguments.end(), {"--rate", rate});
    feeds.push_back(system.launch("peaknet-feed", arguments));
  }
  return feeds;
}

void expect_every_frame_once(System& system) {
  auto stop = system.ctl({"stop", "--timeout", "120"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err() << system.writer().err() << system.daemon().err();
  const auto life = system.stats().at("lifetime");
  EXPECT_EQ(life.at("imbalance"), 0) << life.dump(2);
  EXPECT_EQ(life.at("in_flight"), 0) << life.dump(2);
  EXPECT_EQ(life.at("written").get<int>() + life.at("filtered").get<int>(), life.at("committed").get<int>())
      << life.dump(2);
  const auto in_files = system.frames_in_files();
  EXPECT_EQ(in_files.size(), life.at("written").get<std::size_t>()) << life.dump(2);
  for (const auto& [key, times] : in_files) EXPECT_EQ(times, 1) << "producer " << key.first << " frame " << key.second;
  EXPECT_TRUE(system.unfinished().empty());
}

TEST(Soak, FiveThousandFramesOfThreeProducersAreEachInAFileOrCounted) {
  System system(kFull);
  system.start_daemon();
  system.start_writer();
  for (auto& feed : three_producers(system, "1667", "")) ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  expect_every_frame_once(system);
  EXPECT_EQ(system.stats().at("lifetime").at("committed"), 5001);
  std::printf("%s\n", system.stats().at("lifetime").dump().c_str());
}

TEST(Soak, KillsOfEveryProgramLoseAndDoubleNothing) {
  const char* asked = std::getenv("PEAKNET_SOAK_ROUNDS");
  const int rounds = asked == nullptr ? 10 : std::atoi(asked);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("seed " + std::to_string(round));
    std::mt19937 random(static_cast<unsigned>(round));
    const auto some_time = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 1000)); };
    System system(kFull);
    system.start_daemon();
    system.start_writer();
    auto feeds = three_producers(system, "1667", "400");
    some_time();
    system.writer().kill();
    system.start_writer();
    some_time();
    feeds[0].kill();
    some_time();
    system.daemon().kill();
    system.start_daemon();
    some_time();
    system.writer().kill();
    system.start_writer();
    for (std::size_t i = 1; i < feeds.size(); ++i) ASSERT_EQ(feeds[i].wait(), Exit::code(0)) << feeds[i].err();
    expect_every_frame_once(system);
    EXPECT_GE(system.stats().at("lifetime").at("committed").get<int>(), 2 * 1667);
    std::printf("round %d: %s\n", round, system.stats().at("lifetime").dump().c_str());
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace peaknet::test
