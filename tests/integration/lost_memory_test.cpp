// Somebody cuts, overwrites or removes the shared memory while the system runs: it says so, nothing is lost in silence,
// and a restart is all the remedy there need be.
#include <gtest/gtest.h>

#include <filesystem>

#include "shm/producer.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

class LostMemory : public testing::Test {
 protected:
  std::filesystem::path control_segment() const { return "/dev/shm" + shm::control_segment_name(system_.instance()); }
  std::filesystem::path pool() const { return "/dev/shm" + shm::pool_name(system_.instance(), 1); }
  void commit(shm::Producer& producer, int frames) const {
    for (int i = 0; i < frames; ++i) must(must(producer.claim(5s)).commit());
  }
  void expect_a_whole_run_works() {
    system_.start_writer();
    auto feed = system_.feed({"simulate", "--frames", "5"});
    EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
    auto stop = system_.ctl({"stop"});
    EXPECT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  }
  System system_{{.slots = 8}};
};

TEST_F(LostMemory, APoolThatIsCutEndsTheDaemonClearlyAndTheNextOneCountsItsFrames) {
  system_.start_daemon();
  {
    auto producer = must(shm::Producer::attach(system_.instance(), {.label = "test"}));
    commit(*producer, 3);
  }
  ASSERT_TRUE(eventually([&] { return system_.stats().at("lifetime").at("inferred") == 3; }));
  std::filesystem::resize_file(pool(), 4096);
  EXPECT_EQ(system_.daemon().wait_for(20s), Exit::code(70));
  EXPECT_NE(system_.daemon().err().find("[shm.cut]"), std::string::npos) << system_.daemon().err();

  system_.start_daemon();
  EXPECT_NE(system_.daemon().err().find("[pool.lost]"), std::string::npos) << system_.daemon().err();
  const auto stats = system_.stats();
  EXPECT_EQ(stats.at("lifetime").at("failed").at("pool_lost"), 3) << stats.dump(2);
  EXPECT_EQ(stats.at("lifetime").at("imbalance"), 0);
  expect_a_whole_run_works();
}

TEST_F(LostMemory, AProducerWhosePoolWasRemovedByHandGoesOnInThatOfTheNextDaemon) {
  system_.start_daemon();
  auto producer = must(shm::Producer::attach(system_.instance(), {.label = "test"}));
  commit(*producer, 3);
  ASSERT_TRUE(eventually([&] { return system_.stats().at("lifetime").at("inferred") == 3; }));
  system_.daemon().kill();
  std::filesystem::remove(pool());
  system_.start_daemon();
  commit(*producer, 2);
  EXPECT_TRUE(eventually([&] { return system_.stats().at("lifetime").at("inferred") == 5; }));
  const auto stats = system_.stats();
  EXPECT_EQ(stats.at("lifetime").at("failed").at("pool_lost"), 3) << stats.dump(2);
  EXPECT_EQ(stats.at("lifetime").at("imbalance"), 0);
  expect_a_whole_run_works();
}

TEST_F(LostMemory, RemovedByHandWhileAllRunsNewcomersAreRefusedAndThoseWhoAreThereGoOn) {
  system_.start_daemon();
  system_.start_writer();
  auto producer = must(shm::Producer::attach(system_.instance(), {.label = "test"}));
  std::filesystem::remove(control_segment());
  std::filesystem::remove(pool());
  EXPECT_TRUE(
      eventually([&] { return system_.daemon().err().find("[instance.removed-by-hand]") != std::string::npos; }, 20s));
  auto newcomer = system_.feed({"simulate", "--frames", "1"});
  EXPECT_EQ(newcomer.wait(), Exit::code(69));
  EXPECT_NE(newcomer.err().find("[shm.absent]"), std::string::npos) << newcomer.err();
  commit(*producer, 3);
  auto stop = system_.ctl({"stop"});
  EXPECT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  producer.reset();
  for (Child* program : {&system_.writer(), &system_.daemon()}) {
    program->signal(SIGTERM);
    EXPECT_EQ(program->wait_for(20s), Exit::code(0)) << program->err();
  }
  system_.start_daemon();
  expect_a_whole_run_works();
}

}  // namespace
}  // namespace peaknet::test
