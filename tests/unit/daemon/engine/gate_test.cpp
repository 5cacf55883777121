#include "daemon/engine/gate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace peaknet::engine {
namespace {

TEST(Gate, is_shut_until_it_is_opened) {
  Gate gate;
  EXPECT_EQ(gate.read().below, 0U);
  EXPECT_EQ(gate.read().run, "");
}

TEST(Gate, open_lets_every_frame_through_as_part_of_the_run) {
  Gate gate;
  gate.open("run-7");
  EXPECT_EQ(gate.read().below, shm::kMaxSequence);
  EXPECT_EQ(gate.read().run, "run-7");
}

TEST(Gate, draining_and_shutting_keep_the_run) {
  Gate gate;
  gate.open("run-7");
  gate.drain(1234);
  EXPECT_EQ(gate.read().below, 1234U);
  EXPECT_EQ(gate.read().run, "run-7");
  gate.shut();
  EXPECT_EQ(gate.read().below, 0U);
  EXPECT_EQ(gate.read().run, "run-7");
  gate.open("run-8");
  EXPECT_EQ(gate.read().run, "run-8");
}

TEST(Gate, every_change_is_a_notification) {
  Gate gate;
  for (int i = 0; i < 3; ++i) {
    const auto ticket = gate.changed().prepare();
    if (i == 0) gate.open("run");
    if (i == 1) gate.drain(5);
    if (i == 2) gate.shut();
    EXPECT_FALSE(gate.changed().unchanged_since(ticket));
  }
}

TEST(Gate, who_passes_holds_the_gate_as_it_is_until_he_is_through_and_does_not_hold_up_others) {
  Gate gate;
  gate.open("run-7");
  std::promise<void> shut_asked;
  std::atomic<bool> is_shut{false};
  std::jthread shutter;
  const auto below = gate.pass([&](const Gate::Opening& opening) {
    shutter = std::jthread([&] {
      shut_asked.set_value();
      gate.shut();
      is_shut.store(true);
    });
    shut_asked.get_future().wait();
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    EXPECT_FALSE(is_shut.load());
    return opening.below;
  });
  EXPECT_EQ(below, shm::kMaxSequence);
  shutter.join();
  gate.pass([&](const Gate::Opening& opening) {
    EXPECT_EQ(opening.below, 0U);
    EXPECT_EQ(gate.pass([](const Gate::Opening& other) { return other.run; }), "run-7");
  });
}

TEST(Gate, a_reader_never_sees_the_limit_of_one_run_with_the_name_of_another) {
  Gate gate;
  gate.open("a");
  std::jthread writer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      gate.open("a");
      gate.drain(1);
      gate.open("a much longer name of a run, not kept in place");
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    const auto opening = gate.read();
    if (opening.below == 1) {
      ASSERT_EQ(opening.run, "a");
    } else {
      ASSERT_EQ(opening.below, shm::kMaxSequence);
    }
  }
}

}  // namespace
}  // namespace peaknet::engine
