// The invariants under load: four producers, two devices and two writers are killed with SIGKILL at random moments and
// started again. At the end every committed frame has been finished, or is counted, and is in the writers' log exactly
// once (more often only where the log itself says that the frame was redelivered).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "shm/clock.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/shm/shared_block.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::must;
using test::Shared;
using test::small_frames;
using test::TestInstance;

#ifdef PEAKNET_SOAK
const int kKills =
    std::getenv("PEAKNET_SOAK_KILLS") == nullptr ? 100'000 : std::atoi(std::getenv("PEAKNET_SOAK_KILLS"));
constexpr int kPauseUs = 4'000;  // at most, between two kills
#else
constexpr int kKills = 300;
constexpr int kPauseUs = 30'000;
#endif
constexpr std::size_t kProducers = 4, kDevices = 2, kWriters = 2;

using FrameId = std::pair<std::uint64_t, std::uint64_t>;

// One line of a log: written with one write() to a file opened for appending, and never over the end of a page, where
// the kernel stops for SIGKILL. So it is whole or not there.
struct alignas(32) Line {
  std::uint64_t producer, seq, attempts;
};
static_assert(4096 % sizeof(Line) == 0);
FrameId id_of(const Line& line) { return {line.producer, line.seq}; }
bool by_id(const Line& a, const Line& b) { return id_of(a) < id_of(b); }

// A file without a name that this process and its children append to.
class Log {
 public:
  Log() {
    const int named = memfd_create("log", MFD_CLOEXEC);
    fd_ = open(("/proc/self/fd/" + std::to_string(named)).c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
    close(named);
    if (fd_ < 0) throw std::runtime_error("no log");
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { close(fd_); }
  void append(const FrameDescriptor& d, std::uint64_t attempts) const {
    append({d.producer, d.producer_seq, attempts});
  }
  void append(const Line& line) const {
    if (write(fd_, &line, sizeof line) != static_cast<ssize_t>(sizeof line)) _exit(9);
  }
  std::vector<Line> lines() const {
    const off_t bytes = lseek(fd_, 0, SEEK_END);
    if (bytes % static_cast<off_t>(sizeof(Line)) != 0) throw std::runtime_error("a line of the log is torn");
    std::vector<Line> all(static_cast<std::size_t>(bytes) / sizeof(Line));
    for (off_t at = 0; at < bytes;) {
      const ssize_t got =
          pread(fd_, reinterpret_cast<char*>(all.data()) + at, static_cast<std::size_t>(bytes - at), at);
      if (got <= 0) throw std::runtime_error("the log cannot be read");
      at += got;
    }
    return all;
  }

 private:
  int fd_;
};

struct Evidence {
  std::atomic<bool> no_more_frames{false};
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> failures{0};
};

std::uint16_t pixel_of(std::uint64_t producer, std::uint64_t seq) {
  return static_cast<std::uint16_t>(producer * 31 + seq * 7 + 1);
}

// Hold what one has a little longer now and then, so that kills find something held.
void dawdle() {
  static thread_local std::minstd_rand random(static_cast<unsigned>(monotonic_ns()));
  if (random() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
}

// The mask that the device makes of a frame.
std::uint64_t mask_of(std::uint16_t pixel) { return pixel * 0x0001'0001'0001'0001ULL; }

class Storm {
 public:
  // A producer has one of the policies in each of its lives.
  explicit Storm(std::vector<FullPolicy> policies) : policies_(std::move(policies)) {}

  void run() {
    for (std::size_t i = 0; i < children_.size(); ++i) start(i);
    auto daemon = instance_.consumer(Queue::q1);  // this process: sweeps, and clears the quarantine
    for (int kills = 0; kills < kKills; ++kills) {
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % kPauseUs));
      const std::size_t victim = random_() % children_.size();
      children_[victim].kill();
      if (random_() % 2 == 0) daemon->participant().recover_dead();
      keep_quarantined(*daemon);
      start(victim);
      ASSERT_EQ(evidence_->failures, 0U);
    }
    finish(*daemon);
    judge();
  }

 private:
  void start(std::size_t i) {
    const FullPolicy policy = policies_[random_() % policies_.size()];
    children_[i] = Child::run([this, i, policy] {
      try {
        return i < kProducers ? produce(policy) : i < kProducers + kDevices ? infer() : write_results();
      } catch (const std::exception& failure) {
        std::fprintf(stderr, "role %zu: %s\n", i, failure.what());
        ++evidence_->failures;
        return 1;
      }
    });
  }

  int produce(FullPolicy policy) {
    auto producer = instance_.producer(policy);
    while (!evidence_->no_more_frames) {
      auto frame = producer->claim(20ms);
      if (!frame) {
        if (frame.error().id != "pool.full") throw std::runtime_error(frame.error().text());
        std::this_thread::sleep_for(200us);
        continue;
      }
      const FrameId id{producer->number(), producer->committed()};
      for (auto& pixel : frame->pixels<std::uint16_t>()) pixel = pixel_of(id.first, id.second);
      dawdle();
      must(frame->commit());
      committed_.append({id.first, id.second, 0});
    }
    return 0;
  }

  int infer() {
    auto device = instance_.consumer(Queue::q1);
    while (!evidence_->end) {
      auto taken = device->take(4);
      if (!taken.refused.empty()) throw std::runtime_error(taken.refused[0].text());
      if (taken.frames.empty()) device->wait_for_work(20ms);
      for (auto& frame : taken.frames) {
        const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image().data());
        for (std::size_t n = 0; n < frame.geometry().pixels(); ++n) {
          if (pixels[n] != pixel_of(frame.descriptor().producer, frame.descriptor().producer_seq)) ++evidence_->torn;
        }
        for (auto& word : frame.mask()) word = mask_of(pixels[0]);
        dawdle();
        must(frame.publish(ResultStatus::mask));
      }
    }
    return 0;
  }

  int write_results() {
    auto writer = instance_.consumer(Queue::q2);
    while (!evidence_->end) {
      auto taken = writer->take(3);
      if (!taken.refused.empty()) throw std::runtime_error(taken.refused[0].text());
      if (taken.frames.empty()) writer->wait_for_work(20ms);
      for (auto& frame : taken.frames) {
        const auto& d = frame.descriptor();
        for (const auto word : frame.mask()) {
          if (word != mask_of(pixel_of(d.producer, d.producer_seq))) ++evidence_->torn;
        }
        written_.append(d, frame.attempts());  // the data first, then the slot
        dawdle();
        must(frame.finish(Counter::written));
      }
    }
    return 0;
  }

  void keep_quarantined(Consumer& daemon) {
    for (const auto& descriptor : daemon.participant().clear_quarantine()) {
      quarantined_.insert({descriptor.producer, descriptor.producer_seq});
      ++quarantine_count_;
    }
  }

  void finish(Consumer& daemon) {
    evidence_->no_more_frames = true;
    for (std::size_t i = 0; i < kProducers; ++i) EXPECT_EQ(children_[i].wait(), test::Exit::code(0));
    const auto idle = [&] {
      daemon.participant().recover_dead();
      keep_quarantined(daemon);
      return instance_.slots_in(SlotState::free) == instance_.pool().geometry().slots;
    };
    EXPECT_TRUE(test::eventually(idle, 20s)) << "slots lost";
    evidence_->end = true;
    for (std::size_t i = kProducers; i < children_.size(); ++i) EXPECT_EQ(children_[i].wait(), test::Exit::code(0));
  }

  void judge() {
    const FrameAccounting accounting = instance_.accounting();
    EXPECT_EQ(test::unbalanced(accounting), "");
    EXPECT_EQ(evidence_->torn, 0U);
    EXPECT_EQ(evidence_->failures, 0U);

    // The frames of the writers' log; of one that is there several times, in the order in which they were written.
    std::vector<Line> written = written_.lines();
    std::stable_sort(written.begin(), written.end(), by_id);
    std::uint64_t repeated = 0;
    for (std::size_t n = 1; n < written.size(); ++n) {
      if (id_of(written[n]) != id_of(written[n - 1])) continue;
      ++repeated;
      EXPECT_GT(written[n].attempts, written[n - 1].attempts)
          << "producer " << written[n].producer << " frame " << written[n].seq << " written twice unannounced";
    }
    const std::uint64_t frames = written.size() - repeated;
    const auto was_written = [&](const FrameId& id) {
      return std::binary_search(written.begin(), written.end(), Line{id.first, id.second, 0}, by_id);
    };
    const auto both = static_cast<std::uint64_t>(std::count_if(quarantined_.begin(), quarantined_.end(), was_written));
    const std::uint64_t known = frames + quarantined_.size() - both + accounting.total(Counter::dropped_oldest);
    EXPECT_EQ(accounting.total(Counter::committed), known) << "frames lost or invented";
    EXPECT_EQ(accounting.total(Counter::failed_quarantined), quarantine_count_);
    EXPECT_EQ(quarantine_count_, quarantined_.size());
    // Each of the producers' own notes is among them, unless it was dropped (which has no name); and sequences are
    // dense.
    std::uint64_t missing = 0;
    for (const auto& line : committed_.lines()) {
      const FrameId id{line.producer, line.seq};
      if (!was_written(id) && !quarantined_.contains(id)) ++missing;
    }
    EXPECT_LE(missing, accounting.total(Counter::dropped_oldest));

    std::printf(
        "%d kills: %llu committed, %zu written, %llu of them more than once, %zu quarantined, %llu dropped, %llu "
        "redelivered, "
        "%llu slots of dead producers, late wakes %llu\n",
        kKills, static_cast<unsigned long long>(accounting.total(Counter::committed)), static_cast<std::size_t>(frames),
        static_cast<unsigned long long>(repeated), quarantined_.size(),
        static_cast<unsigned long long>(accounting.total(Counter::dropped_oldest)),
        static_cast<unsigned long long>(accounting.total(Counter::redelivered)),
        static_cast<unsigned long long>(accounting.total(Counter::producer_died)),
        static_cast<unsigned long long>(accounting.total(Counter::late_wakes)));
    EXPECT_GT(accounting.total(Counter::committed), 1000U);
    EXPECT_GT(accounting.total(Counter::redelivered), 0U);
    EXPECT_GT(accounting.total(Counter::producer_died), 0U);
  }

  std::vector<FullPolicy> policies_;
  std::mt19937 random_{static_cast<unsigned>(monotonic_ns())};
  TestInstance instance_{{.geometry = small_frames(12)}};
  Shared<Evidence> evidence_;
  Log committed_, written_;
  std::set<FrameId> quarantined_;
  std::uint64_t quarantine_count_ = 0;
  std::array<Child, kProducers + kDevices + kWriters> children_;
};

TEST(KillStorm, blocking_producers_lose_nothing) { Storm({FullPolicy::block}).run(); }

TEST(KillStorm, producers_of_every_policy_lose_nothing_uncounted) {
  Storm({FullPolicy::block, FullPolicy::drop_newest, FullPolicy::drop_oldest}).run();
}

}  // namespace
}  // namespace peaknet::shm
