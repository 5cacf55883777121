// A participant that writes nonsense everywhere it may write, while frames flow: it may spoil frames, and the counters
// it wrote into, but neither daemon nor writer crashes or hangs, and a start with fresh memory is all the remedy there
// need be. PEAKNET_TEST_SEED repeats a run.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "shm/descriptor.hpp"
#include "shm/layout.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

unsigned seed() {
  if (const char* given = std::getenv("PEAKNET_TEST_SEED"))
    return static_cast<unsigned>(std::strtoul(given, nullptr, 10));
  return std::random_device{}();
}

// What a fault or a bad will may leave in a word.
std::uint64_t nonsense(std::mt19937_64& random, std::uint64_t was) {
  constexpr std::array<std::uint64_t, 10> kEvil = {
      0,
      ~std::uint64_t{0},
      std::uint64_t{1} << 63,
      (std::uint64_t{1} << 63) - 1,
      0x7ff8'0000'0000'0000,
      0xffff'ffff,
      1,
      shm::StateWord{shm::kMaxSequence, 15, 4095, shm::SlotState::writing}.pack(),
      shm::StateWord{1, 0, 255, shm::SlotState::inferring}.pack(),
      0x0101'0101'0101'0101};
  switch (random() % 4) {
    case 0:
      return random();
    case 1:
      return was ^ std::uint64_t{1} << random() % 64;
    case 2:
      return was + random() % 16 - 8;
    default:
      return kEvil[random() % kEvil.size()];
  }
}

enum class After { restore, leave };

// Writes nonsense into every word of a part of an object, at least `rounds` times over, in a process of its own.
Child vandal(const std::string& object, std::size_t begin, std::size_t end, unsigned rounds, After after,
             unsigned seed) {
  return Child::run([=] {
    const int fd = ::open(object.c_str(), O_RDWR | O_CLOEXEC);
    struct stat there {};
    if (fd < 0 || ::fstat(fd, &there) != 0) return 2;
    const std::size_t bytes = std::min(end, static_cast<std::size_t>(there.st_size));
    void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return 3;
    std::mt19937_64 random(seed);
    // Long enough for frames to come by, on a busy machine too.
    const auto until = std::chrono::steady_clock::now() + 2s;
    for (unsigned round = 0; round < rounds || std::chrono::steady_clock::now() < until; ++round) {
      for (std::size_t at = begin; at + 8 <= bytes; at += 8) {
        std::atomic_ref<std::uint64_t> word(*reinterpret_cast<std::uint64_t*>(static_cast<char*>(base) + at));
        std::uint64_t was = word.load();
        const std::uint64_t bad = nonsense(random, was);
        word.store(bad);
        if (after == After::leave) continue;
        for (int i = 0; i < 300; ++i) std::atomic_thread_fence(std::memory_order_seq_cst);  // long enough to be read
        std::uint64_t expected = bad;
        word.compare_exchange_strong(expected, was);
      }
    }
    return 0;
  });
}

class CorruptParticipant : public testing::Test {
 protected:
  CorruptParticipant() : seed_(seed()) { std::printf("seed %u\n", seed_); }

  std::string control_segment() const { return "/dev/shm" + shm::control_segment_name(system_.instance()); }
  std::string pool() const { return "/dev/shm" + shm::pool_name(system_.instance(), 1); }
  shm::PoolOffsets offsets() const {
    return shm::PoolOffsets({.slots = 16, .panels = 1, .height = 64, .width = 64, .pixel_type = PixelType::uint16});
  }

  void start() {
    system_.start_daemon();
    system_.start_writer();
  }
  // Producers come and go while the vandal is at it; what becomes of them is not the daemon's fault.
  void run(const std::string& object, std::size_t begin, std::size_t end, unsigned rounds, After after) {
    Child wrecker = vandal(object, begin, end, rounds, after, seed_);
    Child feed;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    bool first = true;
    while (first || wrecker.running()) {
      first = false;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the vandal hangs, seed " << seed_;
      feed = system_.launch("peaknet-feed", {"simulate", "--frames", "40", "--hit-fraction", "0.7"});
      if (!feed.wait_for(1500ms)) feed.kill();
      ASSERT_TRUE(system_.daemon().running()) << system_.daemon().wait() << system_.daemon().err() << " seed " << seed_;
      ASSERT_TRUE(system_.writer().running()) << system_.writer().wait() << system_.writer().err() << " seed " << seed_;
    }
    EXPECT_EQ(wrecker.wait(), Exit::code(0));
    // The control socket's answers are made of the memory that was spoilt.
    for (const char* command : {"stats", "status", "version"}) {
      auto asked = system_.launch("peaknetctl", {"--json", "--timeout", "5s", command});
      ASSERT_TRUE(asked.wait_for(20s)) << command << " hangs, seed " << seed_;
      EXPECT_EQ(asked.wait(), Exit::code(0)) << asked.err() << " seed " << seed_;
      EXPECT_TRUE(nlohmann::json::accept(asked.out())) << asked.out();
    }
    for (const std::vector<std::string>& command : {std::vector<std::string>{"errors"},
                                                    {"watch", "--count", "1", "--every", "10ms"},
                                                    {"stats", "--prom"},
                                                    {"instances"}}) {
      auto asked = system_.launch("peaknetctl", command);
      ASSERT_TRUE(asked.wait_for(20s)) << command[0] << " hangs, seed " << seed_;
      EXPECT_FALSE(asked.wait().by_signal) << command[0] << " seed " << seed_;
    }
  }
  void expect_it_ends_when_asked_and_a_fresh_one_works() {
    for (Child* program : {&system_.writer(), &system_.daemon()}) {
      program->signal(SIGTERM);
      if (!program->wait_for(20s)) program->signal(SIGTERM);  // a second one gives the drain up
      const auto end = program->wait_for(90s);
      ASSERT_TRUE(end) << "does not end, seed " << seed_;
      EXPECT_FALSE(end->by_signal) << *end << program->err();
    }
    remove_shared_memory(system_.instance());
    start();
    EXPECT_EQ(system_.feed({"simulate", "--frames", "10", "--hit-fraction", "1"}).wait(), Exit::code(0));
    auto stop = system_.ctl({"stop"});
    EXPECT_EQ(stop.wait(), Exit::code(0)) << stop.err();
    EXPECT_EQ(system_.stats().at("frames").at("imbalance"), 0);
  }

  unsigned seed_;
  System system_{{.model = "builtin:threshold=150", .shape = "[1,64,64]", .slots = 16}};
};

TEST_F(CorruptParticipant, DescriptorsOfNonsenseSpoilTheirFramesAlone) {
  start();
  run(pool(), offsets().descriptors, offsets().descriptors + 16 * shm::kDescriptorStride, 3000, After::leave);
  // The words and the counters were left alone: every frame has an end, spoilt or not.
  ASSERT_TRUE(eventually([&] { return system_.stats().at("lifetime").at("in_flight") == 0; }, 30s))
      << system_.stats().dump(1);
  const auto frames = system_.stats().at("lifetime");
  EXPECT_EQ(frames.at("imbalance"), 0) << frames << " seed " << seed_;
  EXPECT_GT(frames.at("failed").at("descriptor"), 0) << frames << " seed " << seed_;
  expect_it_ends_when_asked_and_a_fresh_one_works();
}

TEST_F(CorruptParticipant, SlotWordsOfNonsenseStopNobody) {
  start();
  run(pool(), offsets().words, offsets().words + 16 * 8, 3000, After::restore);
  run(pool(), offsets().words, offsets().words + 16 * 8, 200, After::leave);
  // Words that no program writes are found, and their slots are free again.
  EXPECT_TRUE(eventually([&] { return system_.ctl({"errors"}).out().find("slot.overwritten") != std::string::npos; }))
      << " seed " << seed_;
  expect_it_ends_when_asked_and_a_fresh_one_works();
}

TEST_F(CorruptParticipant, APoolHeaderOfNonsenseStopsNobody) {
  start();
  run(pool(), 0, sizeof(shm::PoolHeader), 3000, After::restore);
  run(pool(), 0, sizeof(shm::PoolHeader), 20, After::leave);
  expect_it_ends_when_asked_and_a_fresh_one_works();
}

// It once ended as "failed" because somebody had written that into its state.
TEST_F(CorruptParticipant, ADaemonIsNotToldItsStateByOthers) {
  start();
  const auto control_segment = must(shm::ControlSegment::open(system_.instance(), shm::Access::read_write));
  auto& state = control_segment->layout().daemon.state;
  for (const auto told : {shm::DaemonState::failed, shm::DaemonState::draining, shm::DaemonState::absent}) {
    state.store(told);
    EXPECT_TRUE(eventually([&] { return state.load() == shm::DaemonState::running; })) << shm::name(told);
    ASSERT_TRUE(system_.daemon().running()) << system_.daemon().wait() << system_.daemon().err();
  }
  EXPECT_EQ(system_.feed({"simulate", "--frames", "10", "--hit-fraction", "1"}).wait(), Exit::code(0));
  EXPECT_EQ(system_.ctl({"stop"}).wait(), Exit::code(0));
}

TEST_F(CorruptParticipant, ADirectoryOfNonsenseStopsNobody) {
  start();
  run(control_segment(), 0, sizeof(shm::ControlLayout), 2, After::restore);
  run(control_segment(), 0, sizeof(shm::ControlLayout), 1, After::leave);
  expect_it_ends_when_asked_and_a_fresh_one_works();
}

}  // namespace
}  // namespace peaknet::test
