// Everybody at once in one process and on one mapping, so that ThreadSanitizer sees every access of every participant:
// it knows nothing of other processes, nor of one memory at two addresses.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::must;
using test::small_frames;
using test::TestInstance;

TEST(Race, all_roles_on_one_mapping_have_no_data_race_and_right_books) {
  constexpr std::uint64_t kFrames = 2000;
  TestInstance instance({.geometry = small_frames(6)});
  auto first = must(Participant::attach(instance.name(), Role::daemon, "supervisor"));
  const Mappings shared = first->mappings();
  std::atomic<std::uint64_t> finished{0}, torn{0};
  std::atomic<bool> end{false};

  const auto produce = [&](FullPolicy policy) {
    auto producer = must(Producer::attach(instance.name(), {.label = "p", .full = policy, .mappings = shared}));
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      auto frame = must(producer->claim(20s));
      for (auto& pixel : frame.pixels<std::uint16_t>()) pixel = static_cast<std::uint16_t>(i);
      frame.info().event_id = i;
      if (i % 10 == 9) continue;  // gives it back
      must(frame.commit());
    }
  };
  const auto infer = [&] {
    auto device = must(Consumer::attach(instance.name(), Queue::q1, "d", shared));
    for (unsigned n = 0; !end;) {
      auto taken = device->take(2, kMaxSequence, "run");
      if (taken.frames.empty()) device->wait_for_work(5ms);
      for (auto& frame : taken.frames) {
        if (++n % 13 == 0) continue;  // gives it back
        const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image().data());
        for (std::size_t i = 0; i < frame.geometry().pixels(); ++i) {
          if (pixels[i] != static_cast<std::uint16_t>(frame.descriptor().event_id)) ++torn;
        }
        for (auto& word : frame.mask()) word = frame.descriptor().event_id;
        must(frame.publish(ResultStatus::mask));
      }
    }
  };
  const auto write = [&] {
    auto writer = must(Consumer::attach(instance.name(), Queue::q2, "w", shared));
    while (!end) {
      auto taken = writer->take(2);
      if (taken.frames.empty()) writer->wait_for_work(5ms);
      for (auto& frame : taken.frames) {
        for (const auto word : frame.mask()) {
          if (word != frame.descriptor().event_id) ++torn;
        }
        must(frame.finish(Counter::written));
        ++finished;
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    workers.emplace_back(infer);
    workers.emplace_back(infer);
    workers.emplace_back(write);
    workers.emplace_back(write);
    workers.emplace_back([&] {  // the supervisor
      while (!end) {
        first->recover_dead();
        read_accounting(instance.control_segment(), &instance.pool());
        std::this_thread::sleep_for(1ms);
      }
    });
    {
      std::vector<std::jthread> producers;
      producers.emplace_back(produce, FullPolicy::block);
      producers.emplace_back(produce, FullPolicy::drop_oldest);
    }
    while (first->pool().count_states()[static_cast<std::size_t>(SlotState::free)] != 6)
      std::this_thread::sleep_for(1ms);
    end = true;
  }
  EXPECT_EQ(torn, 0U);
  const FrameAccounting accounting = instance.accounting();
  EXPECT_EQ(test::unbalanced(accounting), "");
  EXPECT_EQ(accounting.total(Counter::committed), 2 * kFrames - 2 * kFrames / 10);
  EXPECT_EQ(accounting.total(Counter::written), finished);
  EXPECT_EQ(accounting.total(Counter::late_wakes), 0U);
}

}  // namespace
}  // namespace peaknet::shm
