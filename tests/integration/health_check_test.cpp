// `peaknetctl status --check` over what goes wrong on a shift, with the real programs: the word, the reason and the
// exit code of each. A lost device: simulated_gpus_test.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <zmq.hpp>

#include "tests/integration/system.hpp"
#include "tests/integration/tmpfs.hpp"
#include "tests/integration/verdict.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

System::Options hits() { return {.model = "builtin:threshold=150", .slots = 16, .min_num_peak = 1}; }

class HealthCheck : public ::testing::Test {
 protected:
  // The worst reason comes to be `id`; then all of the verdict must be as said.
  void expect(const std::string& row, const std::string& id, const std::string& word, const Exit& exit) {
    Verdict verdict;
    EXPECT_TRUE(eventually(
        [&] {
          verdict = verdict_of(system_);
          return verdict.has(id);
        },
        60s))
        << row << ": " << verdict.word << ": " << verdict.first;
    print_row(row, verdict);
    EXPECT_EQ(verdict.word, word);
    EXPECT_EQ(verdict.exit, exit);
    EXPECT_FALSE(verdict.first.empty());
    // The screen says it in the same word.
    auto status = system_.ctl({"status", "--check"});
    EXPECT_EQ(status.wait(), exit);
    EXPECT_EQ(status.out().rfind(word + ": " + system_.instance(), 0), 0U) << status.out();
    EXPECT_NE(status.out().find("[" + id + "]"), std::string::npos) << status.out();
    EXPECT_NE(status.out().find("try: "), std::string::npos) << status.out();
  }
  void feed(unsigned frames) {
    auto fed = system_.feed({"simulate", "--frames", std::to_string(frames), "--hit-fraction", "1"});
    ASSERT_EQ(fed.wait(), Exit::code(0)) << fed.err();
  }
  Child begin_feeding(unsigned frames) {
    return system_.launch("peaknet-feed", {"simulate", "--frames", std::to_string(frames), "--hit-fraction", "1"});
  }

  System system_{hits()};
};

TEST_F(HealthCheck, OfAllWell) {
  system_.start_daemon();
  system_.start_writer();
  feed(20);
  ASSERT_EQ(system_.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system_.ctl({"start"}).wait(), Exit::code(0));
  const Verdict verdict = verdict_of(system_);
  print_row("all well", verdict);
  EXPECT_EQ(verdict.word, "healthy") << verdict.first;
  EXPECT_TRUE(verdict.reasons.empty());
  EXPECT_EQ(verdict.exit, Exit::code(0));
}

TEST_F(HealthCheck, OfAFullDisk) {
  const Tmpfs disk(system_.output(), 2 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs needs root, or a sandbox that allows it";
  system_.start_daemon();
  system_.start_writer();
  auto feeding = begin_feeding(200);
  expect("full disk", "health.writer-holds", "failing", Exit::code(7));
  EXPECT_NE(verdict_of(system_).first.find("output.disk-full"), std::string::npos) << verdict_of(system_).first;
  expect("full disk, the pool is full too", "health.pool-full", "failing", Exit::code(7));
  feeding.signal(SIGKILL);
  feeding.wait();
}

TEST_F(HealthCheck, OfAWriterThatWasKilled) {
  system_.start_daemon();
  auto& writer = system_.start_writer();
  writer.signal(SIGKILL);
  writer.wait();
  expect("writer killed", "health.no-writer", "failing", Exit::code(7));
}

TEST_F(HealthCheck, OfNoWriter) {
  system_.start_daemon();
  feed(9);
  ASSERT_TRUE(eventually([&] { return verdict_of(system_).first.find("9 results wait") != std::string::npos; }, 60s));
  expect("no writer", "health.no-writer", "failing", Exit::code(7));
}

TEST_F(HealthCheck, OfAFullPoolAfterAStop) {
  system_.start_daemon();
  system_.start_writer();
  ASSERT_EQ(system_.ctl({"stop"}).wait(), Exit::code(0));
  auto feeding = begin_feeding(30);
  expect("full pool after stop", "health.pool-full", "failing", Exit::code(7));
  const Verdict verdict = verdict_of(system_);
  EXPECT_TRUE(verdict.has("health.frames-wait"));
  EXPECT_NE(verdict.first.find("none is active"), std::string::npos) << verdict.first;
  ASSERT_EQ(system_.ctl({"start"}).wait(), Exit::code(0));
  EXPECT_EQ(feeding.wait(), Exit::code(0)) << feeding.err();
}

TEST_F(HealthCheck, OfADaemonThatWasKilled) {
  auto& daemon = system_.start_daemon();
  system_.start_writer();
  daemon.signal(SIGKILL);
  daemon.wait();
  expect("daemon killed", "health.absent", "failing", Exit::code(3));
}

TEST_F(HealthCheck, OfADaemonThatIsStopped) {
  auto& daemon = system_.start_daemon();
  system_.start_writer();
  daemon.signal(SIGSTOP);
  expect("daemon stopped (SIGSTOP)", "health.heartbeat", "failing", Exit::code(4));
  daemon.signal(SIGCONT);
}

TEST_F(HealthCheck, OfAFeedThatRefusesAll) {
  system_.start_daemon();
  system_.start_writer();
  const auto address = "ipc://" + (system_.folder() / "feed.sock").string();
  auto listening = system_.launch("peaknet-feed", {"listen", "--endpoint", "bind " + address, "--count", "3"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  for (const std::string text : {"no image", "neither", "nor this"}) push.send(zmq::buffer(text.data(), text.size()));
  EXPECT_EQ(listening.wait(), Exit::code(65));
  expect("feed refusing all", "health.feed", "degraded", Exit::code(7));
}

}  // namespace
}  // namespace peaknet::test
