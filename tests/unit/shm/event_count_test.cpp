#include "shm/event_count.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "shm/clock.hpp"
#include "shm/layout.hpp"
#include "tests/support/child.hpp"
#include "tests/support/watched_calls.hpp"
#include "tests/unit/shm/shared_block.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Shared;

#ifdef PEAKNET_SOAK
constexpr std::uint64_t kHandOvers = 3'000'000;
#else
constexpr std::uint64_t kHandOvers = 100'000;
#endif

struct Side {
  alignas(64) EventCount event;
  alignas(64) std::atomic<std::uint64_t> value{0};
  std::atomic<std::uint64_t> lost{
      0};  // waits that ended by time-out and were never notified although the value was there
  std::atomic<std::uint64_t> slept{0};
};

// A random delay of the kinds that hit between a look and a sleep: none, some instructions, a reschedule, a real sleep.
void dither(std::minstd_rand& random) {
  const auto dice = random() % 1000;
  if (dice < 500) return;
  if (dice < 980) {
    for (auto spin = random() % 400; spin > 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
  } else if (dice < 999) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
  }
}

// Wait until side.value is `wanted`, as every user of an EventCount does.
void await(Side& side, std::uint64_t wanted, std::minstd_rand& random) {
  while (side.value.load(std::memory_order_acquire) != wanted) {
    dither(random);
    const auto ticket = side.event.prepare();
    dither(random);
    if (side.value.load(std::memory_order_acquire) == wanted) return;
    ++side.slept;
    if (side.event.wait(ticket)) continue;
    if (side.value.load(std::memory_order_acquire) != wanted || !side.event.unchanged_since(ticket)) continue;
    // There, and not announced. The other side may stand between its store and its notification: give it time.
    bool announced = false;
    for (int slice = 0; slice < 40 && !announced; ++slice)
      announced = side.event.wait(ticket) || !side.event.unchanged_since(ticket);
    if (!announced) ++side.lost;
  }
}

void post(Side& side, std::uint64_t value, std::minstd_rand& random) {
  dither(random);
  side.value.store(value, std::memory_order_release);
  dither(random);
  side.event.notify();
}

TEST(EventCount, no_wake_up_is_lost_between_two_processes) {
  struct Pair {
    Side ping, pong;
  };
  Shared<Pair> shared;
  auto other = Child::run([&] {
    std::minstd_rand random(2);
    for (std::uint64_t i = 1; i <= kHandOvers; ++i) {
      await(shared->ping, i, random);
      post(shared->pong, i, random);
    }
    return 0;
  });
  std::minstd_rand random(1);
  for (std::uint64_t i = 1; i <= kHandOvers; ++i) {
    post(shared->ping, i, random);
    await(shared->pong, i, random);
  }
  EXPECT_EQ(other.wait(), test::Exit::code(0));
  EXPECT_EQ(shared->ping.lost + shared->pong.lost, 0U);
  EXPECT_GT(shared->ping.slept + shared->pong.slept, kHandOvers / 100) << "the test must really put them to sleep";
}

TEST(EventCount, one_notification_wakes_as_many_as_can_attach) {
  struct Evidence {
    EventCount event;
    std::atomic<int> asleep{0}, awake{0};
    std::atomic<bool> go{false};
  };
  Shared<Evidence> shared;
  std::vector<Child> sleepers;
  constexpr int kSleepers = kMaxParticipants - 1;
  for (int i = 0; i < kSleepers; ++i) {
    sleepers.push_back(Child::run([&] {
      ++shared->asleep;
      while (!shared->go) {
        const auto ticket = shared->event.prepare();
        if (shared->go) break;
        shared->event.wait(ticket);
      }
      ++shared->awake;
      return 0;
    }));
  }
  ASSERT_TRUE(test::eventually([&] { return shared->asleep == kSleepers; }));
  shared->go = true;
  shared->event.notify();
  for (auto& sleeper : sleepers) EXPECT_EQ(sleeper.wait(), test::Exit::code(0));
  EXPECT_EQ(shared->awake, kSleepers);
}

// Places for one, and many who want one: the free slots of a pool and its producers.
struct Places {
  alignas(64) EventCount event;
  alignas(64) std::atomic<int> free{0};
  std::atomic<int> asleep{0}, taken{0}, woken{0}, late{0};
  std::atomic<bool> over{false};

  bool take() {
    int there = free.load();
    while (there > 0) {
      if (free.compare_exchange_weak(there, there - 1)) return true;
    }
    return false;
  }
};

TEST(EventCount, one_of_many_sleepers_is_woken_for_one_place) {
  Shared<Places> places;
  std::vector<Child> sleepers;
  constexpr int kSleepers = 20;
  for (int i = 0; i < kSleepers; ++i) {
    sleepers.push_back(Child::run([&] {
      while (!places->over) {
        const auto ticket = places->event.prepare();
        if (places->over) break;
        ++places->asleep;
        const bool notified = places->event.wait(ticket);
        --places->asleep;
        if (notified && !places->over) {
          ++places->woken;
          if (places->take()) ++places->taken;
        }
      }
      return 0;
    }));
  }
  constexpr int kPlaces = 50;
  for (int i = 1; i <= kPlaces; ++i) {
    ASSERT_TRUE(test::eventually([&] { return places->asleep == kSleepers; }));
    ++places->free;
    places->event.notify_one();
    ASSERT_TRUE(test::eventually([&] { return places->taken == i; })) << "a place that nobody is woken for";
  }
  places->over = true;
  places->event.notify();
  for (auto& sleeper : sleepers) EXPECT_EQ(sleeper.wait(), test::Exit::code(0));
  // Who counted itself asleep and was not yet finds the word changed: a few more than one each, not all of them.
  EXPECT_LT(places->woken, kPlaces * kSleepers / 4);
}

struct Sleepers {
  EventCount event;
  std::atomic<int> notified{0};
};

bool sleeps_in_the_kernel(const Child& child) {
  std::ifstream stat("/proc/" + std::to_string(child.pid()) + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
}

// The cap of a sleep heals a lost mark after 50 ms, and a sleeper that comes back sets it anew: so each sleeps once,
// and both are to be woken within one sleep. A busy machine may miss that in some attempts.
TEST(EventCount, who_was_woken_alone_and_left_has_not_taken_the_mark_of_the_others_along) {
  bool both = false;
  for (int attempt = 0; attempt < 100 && !both; ++attempt) {
    Shared<Sleepers> place;
    const auto sleep_once = [&] {
      const auto ticket = place->event.prepare();
      if (place->event.wait(ticket)) ++place->notified;
      return 0;
    };
    Child first = Child::run(sleep_once);
    Child second = Child::run(sleep_once);
    const auto until = monotonic_ns() + 40'000'000;
    while (!(sleeps_in_the_kernel(first) && sleeps_in_the_kernel(second)) && monotonic_ns() < until) {
      std::this_thread::yield();
    }
    place->event.notify_one();
    place->event.notify_one();
    EXPECT_EQ(first.wait(), test::Exit::code(0));
    EXPECT_EQ(second.wait(), test::Exit::code(0));
    both = place->notified == 2;
  }
  EXPECT_TRUE(both) << "the second of two sleepers was never woken";
}

TEST(EventCount, no_place_is_left_while_all_sleep_however_they_crowd) {
  Shared<Places> places;
  std::vector<Child> takers;
  constexpr int kTakers = 6;
  constexpr int kGiven = static_cast<int>(kHandOvers / 10);
  for (unsigned i = 0; i < kTakers; ++i) {
    takers.push_back(Child::run([&, i] {
      std::minstd_rand random(10 + i);
      while (!places->over) {
        dither(random);
        if (places->take()) {
          ++places->taken;
          continue;
        }
        const auto ticket = places->event.prepare();
        dither(random);
        if (places->free > 0 || places->over) continue;
        const bool notified = places->event.wait(ticket);
        // Nobody took it for a whole slice: who was woken for it is not there, or was never woken.
        if (!notified && places->take()) ++places->late, ++places->taken;
      }
      return 0;
    }));
  }
  std::minstd_rand random(9);
  for (int given = 0; given < kGiven; ++given) {
    while (given - places->taken > 3) dither(random);
    ++places->free;
    dither(random);
    places->event.notify_one();
  }
  EXPECT_TRUE(test::eventually([&] { return places->taken == kGiven; }));
  places->over = true;
  places->event.notify();
  for (auto& taker : takers) EXPECT_EQ(taker.wait(), test::Exit::code(0));
  EXPECT_LE(places->late, 2) << "one may be of somebody who was off the processor for a whole slice";
}

TEST(EventCount, a_notification_between_look_and_sleep_is_not_missed) {
  EventCount event;
  const auto ticket = event.prepare();
  event.notify();
  const auto start = monotonic_ns();
  EXPECT_TRUE(event.wait(ticket, 50ms));
  EXPECT_LT(monotonic_ns() - start, 40'000'000);
  EXPECT_FALSE(event.unchanged_since(ticket));
}

TEST(EventCount, sleep_ends_after_one_slice_whatever_was_asked_for) {
  EventCount event;
  for (const auto asked : {std::chrono::nanoseconds(10s), std::chrono::nanoseconds::max()}) {
    const auto ticket = event.prepare();
    const auto start = monotonic_ns();
    EXPECT_FALSE(event.wait(ticket, asked));
    const auto took = monotonic_ns() - start;
    EXPECT_GE(took, 45'000'000);
    EXPECT_LT(took, 2'000'000'000);
    EXPECT_TRUE(event.unchanged_since(ticket));
  }
  EXPECT_FALSE(event.wait(event.prepare(), -5s)) << "a deadline that has passed is no sleep at all";
}

TEST(EventCount, a_second_sleeper_does_not_disturb_the_first) {
  EventCount event;
  const auto first = event.prepare();
  const auto second = event.prepare();
  EXPECT_EQ(first, second);
  EXPECT_TRUE(event.unchanged_since(first));
  event.notify();
  EXPECT_FALSE(event.unchanged_since(first));
}

TEST(EventCount, a_sleeper_that_was_killed_costs_nobody_a_wake_up) {
  Shared<Side> shared;
  auto doomed = Child::run([&] {
    for (;;) shared->event.wait(shared->event.prepare());
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return !shared->event.unchanged_since(0); }));
  doomed.kill();
  auto alive = Child::run([&] {
    std::minstd_rand random(3);
    for (std::uint64_t i = 1; i <= 1000; ++i) await(*shared, i * 2, random), post(*shared, i * 2 + 1, random);
    return 0;
  });
  std::minstd_rand random(4);
  for (std::uint64_t i = 1; i <= 1000; ++i) post(*shared, i * 2, random), await(*shared, i * 2 + 1, random);
  EXPECT_EQ(alive.wait(), test::Exit::code(0));
  EXPECT_EQ(shared->lost, 0U);
}

TEST(EventCount, waiting_on_several_ends_with_the_first_of_them) {
  struct Three {
    std::array<EventCount, 3> events;
    std::atomic<int> which{-1};
    std::atomic<int> lost{0};
  };
  Shared<Three> shared;
  constexpr int kRounds = 3000;
  auto sleeper = Child::run([&] {
    for (int round = 0; round < kRounds; ++round) {
      const int wanted = round % 3;
      while (shared->which != wanted) {
        std::array<EventCount::Armed, 3> armed{};
        for (std::size_t i = 0; i < 3; ++i) armed[i] = {&shared->events[i], shared->events[i].prepare()};
        if (shared->which == wanted) break;
        if (!EventCount::wait_any(armed) && shared->which == wanted) ++shared->lost;
      }
      shared->which = -1;
    }
    return 0;
  });
  std::minstd_rand random(5);
  for (int round = 0; round < kRounds; ++round) {
    dither(random);
    shared->which = round % 3;
    shared->events[static_cast<std::size_t>(round % 3)].notify();
    while (shared->which != -1 && sleeper.running()) std::this_thread::yield();
  }
  EXPECT_EQ(sleeper.wait(), test::Exit::code(0));
  EXPECT_LE(shared->lost, 1) << "one may be a notifier that was off the processor for a whole slice";
}

TEST(EventCount, waiting_on_several_ends_by_itself_when_nothing_happens) {
  EventCount a, b;
  const std::array<EventCount::Armed, 2> armed{{{&a, a.prepare()}, {&b, b.prepare()}}};
  const auto start = monotonic_ns();
  EXPECT_FALSE(EventCount::wait_any(armed, 10ms));
  EXPECT_GE(monotonic_ns() - start, 9'000'000);
  b.notify();
  EXPECT_TRUE(EventCount::wait_any(armed, 10ms)) << "notified before it slept";
}

TEST(EventCount, waiting_on_several_goes_on_with_a_kernel_that_has_no_call_for_it) {
  EventCount a, b;
  std::array<EventCount::Armed, 2> armed{{{&a, a.prepare()}, {&b, b.prepare()}}};
  int asked = 0;
  const bool watched = test::with_watched_calls(
      {SYS_futex_waitv},
      [&](const test::Call&) {
        ++asked;
        return ENOSYS;
      },
      [&] {
        EXPECT_FALSE(EventCount::wait_any(armed, 10ms)) << "nothing happens";
        a.notify();
        EXPECT_TRUE(EventCount::wait_any(armed, 10ms)) << "the first wakes as ever";
        armed[0].ticket = a.prepare();
        b.notify();
        EXPECT_FALSE(EventCount::wait_any(armed, kWaitSlice)) << "the others when the short sleep ends";
      });
  if (!watched) GTEST_SKIP() << test::kCannotWatch;
  EXPECT_EQ(asked, 3);
}

TEST(EventCount, a_signal_ends_the_wait_on_several_as_a_wake_up_would) {
  EventCount a, b;
  const std::array<EventCount::Armed, 2> armed{{{&a, a.prepare()}, {&b, b.prepare()}}};
  const bool watched = test::with_watched_calls(
      {SYS_futex_waitv}, [](const test::Call&) { return EINTR; },
      [&] { EXPECT_TRUE(EventCount::wait_any(armed, 10ms)); });
  if (!watched) GTEST_SKIP() << test::kCannotWatch;
}

}  // namespace
}  // namespace peaknet::shm
