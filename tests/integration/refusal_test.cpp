// What an operator gets wrong: each mistake is one paragraph that names the remedy, an exit code that is not 0, and no
// harm to anything else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using ::testing::HasSubstr;

Child start_and_end(const System& system, const std::vector<std::string>& set) {
  auto child = system.launch("peaknetd", {}, set);
  child.wait();
  return child;
}

TEST(Refusal, AWrongKeyIsNamedWithTheNearestKnownOne) {
  System system;
  std::ofstream(system.config(), std::ios::app) << "peeks: {min_num_peak: 3}\n";
  for (const char* program : {"peaknetd", "peaknet-writer"}) {
    auto child = system.launch(program, {});
    EXPECT_EQ(child.wait(), Exit::code(78)) << child.err();
    EXPECT_THAT(child.err(), HasSubstr("peeks"));
    EXPECT_THAT(child.err(), HasSubstr("peaks"));
  }
  EXPECT_TRUE(shared_memory_of(system.instance()).empty());
}

TEST(Refusal, AMissingModelIsNamedBeforeAnythingIsMade) {
  System system({.model = "models/no_such_model.pt"});
  const auto child = start_and_end(system, {});
  EXPECT_THAT(child.err(), HasSubstr("no_such_model.pt"));
  EXPECT_THAT(child.err(), HasSubstr("[model.missing]"));
  EXPECT_TRUE(shared_memory_of(system.instance()).empty());
}

TEST(Refusal, AMissingSmallerModelOfSheddingIsNamedBeforeAnythingIsMade) {
  System system;
  auto child = system.launch("peaknetd", {}, {"shedding.enabled=true", "shedding.model=/models/no_such_smaller.pt"});
  EXPECT_EQ(child.wait(), Exit::code(78)) << child.err();
  EXPECT_THAT(child.err(), HasSubstr("no_such_smaller.pt"));
  EXPECT_THAT(child.err(), HasSubstr("correct shedding.model"));
  EXPECT_THAT(shared_memory_of(system.instance()), ::testing::IsEmpty());
}

TEST(Refusal, APoolLargerThanTheSharedMemoryIsRefusedWithBothNumbers) {
  System system;
  auto child = system.launch("peaknetd", {}, {"pool.slots=4096", "pool.shape=[32,4096,4096]"});
  EXPECT_NE(child.wait(), Exit::code(0));
  EXPECT_THAT(child.err(), HasSubstr("/dev/shm has"));
  EXPECT_THAT(child.err(), HasSubstr("pool.slots"));
  EXPECT_THAT(shared_memory_of(system.instance()), ::testing::IsEmpty());
}

TEST(Refusal, ASecondDaemonOfTheInstanceIsToldThePidOfTheFirst) {
  System system;
  system.start_daemon();
  auto second = system.launch("peaknetd", {});
  EXPECT_EQ(second.wait(), Exit::code(69)) << second.err();
  EXPECT_THAT(second.err(), HasSubstr(std::to_string(system.daemon().pid())));
  EXPECT_EQ(system.stats().at("state"), "running");  // the first goes on
}

TEST(Refusal, AFrameOfAnotherShapeThanThePoolIsRefusedAndTheRunGoesOn) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  system.start_writer();
  const std::string frames = source_dir() + "/scripts/demo_data/lysozyme_hits.h5";
  if (!std::filesystem::exists(frames)) GTEST_SKIP() << "no " << frames;
  auto feed = system.feed({"replay", frames});
  EXPECT_NE(feed.wait(), Exit::code(0));
  EXPECT_THAT(feed.err(), HasSubstr("1024"));
  EXPECT_THAT(feed.err(), HasSubstr("pool.shape"));
  ASSERT_EQ(system.feed({"simulate", "--frames", "5", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 5U);
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
}

TEST(Refusal, AStopWithoutAWriterSaysHowManyResultsWaitAndKeepsThem) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  ASSERT_EQ(system.feed({"simulate", "--frames", "6", "--hit-fraction", "1"}).wait(), Exit::code(0));
  auto stop = system.ctl({"stop"});
  EXPECT_EQ(stop.wait(), Exit::code(1));
  EXPECT_THAT(stop.err(), HasSubstr("6 results wait for a writer"));
  EXPECT_EQ(system.stats().at("lifetime").at("in_flight"), 6);
  system.start_writer();
  ASSERT_EQ(system.ctl({"wait", "--for", "drained", "--timeout", "20s"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 6U);
}

TEST(Refusal, TheControlToolSaysThatNothingRuns) {
  System system;
  auto status = system.ctl({"status"});
  EXPECT_EQ(status.wait(), Exit::code(3)) << status.err();
  auto wrong = system.ctl({"strat"});
  EXPECT_EQ(wrong.wait(), Exit::code(2));
  EXPECT_THAT(wrong.err(), HasSubstr("start"));
}

TEST(Refusal, AFeedWithoutADaemonSaysSo) {
  System system;
  auto feed = system.feed({"simulate", "--frames", "1"});
  EXPECT_NE(feed.wait(), Exit::code(0));
  EXPECT_THAT(feed.err(), HasSubstr("peaknetd"));
}

}  // namespace
}  // namespace peaknet::test
