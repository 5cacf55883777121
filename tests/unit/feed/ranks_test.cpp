// Eight processes that send as lclstreamer's MPI ranks do (ranks.py: Python, pyzmq, SNDHWM 5, LINGER 0).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <set>

#include "tests/support/child.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/stream.hpp"

namespace peaknet::feed {
namespace {

using test::Child;
using test::Listening;
using test::TestInstance;

constexpr shm::Geometry kFewFrames{4, 1, 16, 24, PixelType::float32};
constexpr std::uint64_t kRanks = 8, kEvents = 83, kBatch = 8;  // the last batch of each rank has 3

class Ranks : public testing::Test {
 protected:
  void SetUp() override {
    auto libraries = Child::start({kPython, "-c", "import numpy, zmq"});
    if (libraries.wait() != test::Exit::code(0)) GTEST_SKIP() << kPython << " has no numpy or no zmq";
  }
  static Child start(const Listening& listening, const std::string& close) {
    return Child::start({kPython, test::source_dir() + "/tests/unit/feed/ranks.py", listening.address(),
                         std::to_string(kRanks), std::to_string(kEvents), std::to_string(kBatch), close});
  }
  // Takes what is in the pool; each event must be whole, itself, and there for the first time.
  void take(test::Reader& reader) {
    for (const auto& frame : reader.take()) {
      const std::uint64_t rank = (frame.info.timestamp >> 32) - 1'700'000'000,
                          event = frame.info.timestamp & 0xffff'ffffU;
      ASSERT_LT(rank, kRanks);
      ASSERT_LT(event, kEvents);
      EXPECT_TRUE(seen_[rank].insert(event).second) << "rank " << rank << " event " << event << " came twice";
      EXPECT_EQ(frame.pixels<float>(),
                std::vector<float>(std::size_t{16} * 24, static_cast<float>(rank * kEvents + event)));
      EXPECT_NEAR(frame.info.photon_energy_ev, 9762.5, 0.5);
      ++taken_;
    }
  }

  static constexpr const char* kPython = "/usr/bin/python3";
  std::map<std::uint64_t, std::set<std::uint64_t>> seen_;
  std::uint64_t taken_ = 0;
};

TEST_F(Ranks, EveryEventArrivesOnceThroughAPoolThatIsMuchTooSmall) {
  const TestInstance instance({.geometry = kFewFrames});
  Listening listening(instance, {}, 2);
  auto ranks = start(listening, "when-told");
  test::Reader reader(instance);
  // All there is to come, and then every rank has handed over its last message.
  EXPECT_TRUE(test::eventually(
      [&] {
        take(reader);
        return taken_ == kRanks * kEvents;
      },
      std::chrono::seconds(60)));
  ranks.signal(SIGUSR1);
  EXPECT_EQ(ranks.wait(), test::Exit::code(0)) << ranks.err();
  listening.stop();
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, kRanks * kEvents);
  EXPECT_EQ(counts.messages, kRanks * ((kEvents + kBatch - 1) / kBatch));
  EXPECT_TRUE(counts.failed.empty());
  EXPECT_EQ(taken_, counts.committed);
  EXPECT_BALANCED(instance);
}

// LINGER 0: what a sender's own queue holds when it closes its socket never leaves it, and nobody on this side can know
// of it. What did leave it is here or counted.
TEST_F(Ranks, RanksThatCloseAtOnceLoseTheirOwnTailAndNothingElse) {
  const TestInstance instance({.geometry = kFewFrames});
  Listening listening(instance, {}, 2);
  auto ranks = start(listening, "at-once");
  test::Reader reader(instance);
  // Until they are gone and nothing came for a second.
  std::optional<test::Exit> ended;
  std::uint64_t messages = 0;
  auto last = std::chrono::steady_clock::now();
  EXPECT_TRUE(test::eventually(
      [&] {
        take(reader);
        if (!ended) ended = ranks.wait_for(std::chrono::milliseconds(0));
        const auto now = std::chrono::steady_clock::now();
        if (listening.so_far().messages != messages || !ended) last = now;
        messages = listening.so_far().messages;
        return now - last > std::chrono::seconds(1);
      },
      std::chrono::seconds(60)));
  EXPECT_EQ(ended, test::Exit::code(0)) << ranks.err();
  listening.stop();
  const Counts counts = listening.end();
  take(reader);
  EXPECT_TRUE(counts.failed.empty());
  EXPECT_EQ(taken_, counts.committed);
  for (const auto& [rank, events] : seen_)
    EXPECT_EQ(*events.rbegin(), events.size() - 1) << "rank " << rank << " has a gap before its end";
  EXPECT_BALANCED(instance);
}

}  // namespace
}  // namespace peaknet::feed
