#include "shm/tap.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Exit;
using test::must;
using test::small_frames;
using test::TestInstance;

// A frame whose every pixel and, once there is a result, every mask word tells its event.
void commit(Producer& producer, std::uint64_t event) {
  auto frame = must(producer.claim(1s));
  std::ranges::fill(frame.pixels<std::uint16_t>(), static_cast<std::uint16_t>(event));
  frame.info().event_id = event;
  frame.info().set_source_run("r12");
  must(frame.commit());
}

void infer(Consumer& device, ResultStatus status = ResultStatus::mask) {
  auto taken = device.take(1, kMaxSequence, "run-7");
  std::ranges::fill(taken.frames.at(0).mask(), taken.frames.at(0).descriptor().event_id);
  must(taken.frames.at(0).publish(status));
}

bool whole(const TapFrame& frame) {
  const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image.data());
  const auto event = frame.descriptor.event_id;
  return frame.image.size() == frame.geometry.image_bytes() &&
         std::all_of(pixels, pixels + frame.geometry.pixels(),
                     [&](std::uint16_t pixel) { return pixel == static_cast<std::uint16_t>(event); }) &&
         std::ranges::all_of(frame.mask, [&](std::uint64_t word) { return word == event; });
}

TEST(Tap, sees_the_newest_frame_from_its_commit_on) {
  TestInstance instance;
  auto producer = instance.producer();
  auto tap = must(Tap::open(instance.name()));
  TapFrame frame;
  EXPECT_FALSE(must(tap->latest(frame))) << "nothing was committed yet";
  for (const std::uint64_t event : {11, 12, 13}) commit(*producer, event);
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_EQ(frame.descriptor.event_id, 13U);
  EXPECT_EQ(frame.descriptor.source_run_id(), "r12");
  EXPECT_EQ(frame.state, SlotState::ready);
  EXPECT_TRUE(frame.mask.empty());
  EXPECT_TRUE(whole(frame));
}

TEST(Tap, shows_each_frame_once_and_leaves_the_copy_alone_when_there_is_nothing_newer) {
  TestInstance instance;
  auto producer = instance.producer();
  auto tap = must(Tap::open(instance.name()));
  TapFrame frame;
  commit(*producer, 5);
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_FALSE(must(tap->latest(frame)));
  EXPECT_EQ(frame.descriptor.event_id, 5U);
  EXPECT_TRUE(whole(frame));
  commit(*producer, 6);
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_EQ(frame.descriptor.event_id, 6U);
}

TEST(Tap, finds_the_result_while_it_waits_while_it_is_written_and_until_its_slot_is_used_again) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  auto tap = must(Tap::open(instance.name()));
  const auto result = [&] {
    TapFrame frame;
    return must(tap->latest(frame, Tap::Want::result)) ? frame : TapFrame{};
  };
  commit(*producer, 1);
  EXPECT_EQ(result().sequence, 0U) << "waits for a device";
  infer(*device);
  commit(*producer, 2);
  EXPECT_EQ(result().state, SlotState::done);
  {
    auto taken = writer->take(1);
    EXPECT_EQ(result().state, SlotState::writing);
    must(taken.frames.at(0).finish(Counter::written));
  }
  const TapFrame freed = result();
  EXPECT_EQ(freed.state, SlotState::free);
  EXPECT_EQ(freed.descriptor.event_id, 1U);
  EXPECT_EQ(freed.descriptor.run_id(), "run-7");
  EXPECT_EQ(freed.descriptor.result_status, static_cast<std::uint32_t>(ResultStatus::mask));
  EXPECT_EQ(freed.mask.size(), freed.geometry.mask_words());
  EXPECT_TRUE(whole(freed));
  commit(*producer, 3);  // into the slot of frame 1
  EXPECT_EQ(result().sequence, 0U);
}

TEST(Tap, does_not_take_what_was_given_back_for_a_frame) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  commit(*producer, 1);
  infer(*device);
  must(writer->take(1).frames.at(0).finish(Counter::written));
  {
    auto frame = must(producer->claim(1s));  // the same slot
    std::ranges::fill(frame.pixels<std::uint16_t>(), std::uint16_t{9});
    auto tap = must(Tap::open(instance.name()));
    TapFrame seen;
    EXPECT_FALSE(must(tap->latest(seen))) << "it is being filled";
  }
  auto tap = must(Tap::open(instance.name()));
  TapFrame seen;
  EXPECT_FALSE(must(tap->latest(seen))) << "it was given back; the descriptor beside it is that of frame 1";
}

TEST(Tap, does_not_take_a_failed_or_dropped_frame_for_a_result) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  auto tap = must(Tap::open(instance.name()));
  TapFrame seen;
  commit(*producer, 1);
  infer(*device, ResultStatus::error);
  EXPECT_FALSE(must(tap->latest(seen, Tap::Want::result)));
  must(writer->take(1).frames.at(0).finish(Counter::failed_model));
  EXPECT_FALSE(must(tap->latest(seen, Tap::Want::result)));
  commit(*producer, 2);
  must(device->take(1).frames.at(0).finish(Counter::dropped_purged));
  EXPECT_FALSE(must(tap->latest(seen, Tap::Want::result)));
  EXPECT_TRUE(must(tap->latest(seen))) << "its image is as good as any";
}

TEST(Tap, does_not_show_what_a_word_of_nonsense_says_or_a_frame_that_took_its_owners_down) {
  TestInstance instance;
  auto producer = instance.producer();
  commit(*producer, 1);
  auto& pool = instance.pool();
  std::uint32_t slot = 0;
  while (StateWord::unpack(pool.word(slot).load()).state != SlotState::ready) ++slot;
  const auto word = StateWord::unpack(pool.word(slot).load());
  for (const StateWord bad : {StateWord{word.sequence, 0, 0, static_cast<SlotState>(11)},
                              StateWord{word.sequence, kMaxAttempts, 0, SlotState::ready},
                              StateWord{word.sequence, kMaxAttempts, 0, SlotState::quarantined}}) {
    pool.word(slot).store(bad.pack());
    auto tap = must(Tap::open(instance.name()));
    TapFrame seen;
    EXPECT_FALSE(must(tap->latest(seen)));
  }
  pool.word(slot).store(word.pack());
  auto tap = must(Tap::open(instance.name()));
  TapFrame seen;
  EXPECT_TRUE(must(tap->latest(seen)));
}

TEST(Tap, is_noticed_by_nobody) {
  TestInstance instance;
  auto producer = instance.producer();
  commit(*producer, 1);
  const Books before = instance.books();
  auto watcher = Child::run([&] {
    auto tap = must(Tap::open(instance.name()));
    TapFrame frame;
    if (!must(tap->latest(frame)) || !whole(frame)) return 1;
    std::ifstream maps("/proc/self/maps");
    int mapped = 0;
    for (std::string line; std::getline(maps, line);) {
      if (line.find("peaknet." + instance.name()) == std::string::npos) continue;
      if (line.find(" r--s ") != std::string::npos) ++mapped;
    }
    return mapped;
  });
  EXPECT_EQ(watcher.wait(), Exit::code(2)) << "read-only mappings of directory and pool";
  const Books after = instance.books();
  EXPECT_EQ(after.totals, before.totals);
  EXPECT_EQ(after.slots, before.slots);
  std::uint32_t attached = 0;
  for (const auto& record : instance.layout().participants) {
    if (record.presence.load() == Presence::attached) ++attached;
  }
  EXPECT_EQ(attached, 1U) << "the producer alone";
}

TEST(Tap, needs_only_the_right_to_read) {
  TestInstance instance;
  commit(*instance.producer(), 1);
  for (const auto& file : test::shared_memory_of(instance.name())) chmod(("/dev/shm/" + file).c_str(), 0444);
  auto reader = Child::run([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return 1;
    if (auto refused = Producer::attach(instance.name()); refused || refused.error().id != "shm.denied") return 2;
    TapFrame frame;
    auto tap = must(Tap::open(instance.name()));
    return must(tap->latest(frame)) && whole(frame) ? 0 : 3;
  });
  EXPECT_EQ(reader.wait(), Exit::code(0));
}

TEST(Tap, goes_on_in_a_forked_child) {
  TestInstance instance;
  auto tap = must(Tap::open(instance.name()));
  auto child = Child::run([&] {
    commit(*must(Producer::attach(instance.name())), 4);
    TapFrame frame;
    return must(tap->latest(frame)) && whole(frame) ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), Exit::code(0));
}

TEST(Tap, moves_over_when_the_pool_is_replaced) {
  TestInstance instance;
  auto producer = instance.producer();
  auto tap = must(Tap::open(instance.name()));
  TapFrame frame;
  commit(*producer, 1);
  ASSERT_TRUE(must(tap->latest(frame)));
  instance.next_epoch({4, 2, 16, 32, PixelType::uint16});
  EXPECT_FALSE(must(tap->latest(frame)));
  commit(*producer, 2);
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_EQ(frame.geometry.panels, 2U);
  EXPECT_EQ(frame.descriptor.event_id, 2U);
  EXPECT_TRUE(whole(frame));
}

TEST(Tap, says_when_the_instance_is_gone) {
  TestInstance instance;
  auto tap = must(Tap::open(instance.name()));
  ASSERT_TRUE(instance.owner().remove_if_unused()) << "a tap keeps nobody from removing an instance";
  TapFrame frame;
  const auto looked = tap->latest(frame);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().id, "instance.removed");
  const auto again = Tap::open(instance.name());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().id, "shm.absent");
}

TEST(Tap, says_why_there_is_nothing_to_look_at) {
  EXPECT_EQ(Tap::open("../etc").error().id, "instance.bad-name");
  EXPECT_EQ(Tap::open(TestInstance::unique_name()).error().id, "shm.absent");
  TestInstance instance({.with_pool = false});
  EXPECT_EQ(Tap::open(instance.name()).error().id, "pool.none");
}

TEST(Tap, survives_a_pool_that_somebody_cut_short) {
  TestInstance instance;
  commit(*instance.producer(), 1);
  auto tap = must(Tap::open(instance.name()));
  std::filesystem::resize_file("/dev/shm" + pool_name(instance.name(), 1), PoolOffsets(small_frames()).payload);
  TapFrame frame;
  const auto looked = tap->latest(frame);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().id, "shm.too-small");
  EXPECT_EQ(frame.sequence, 0U);
}

// Slots are used again as fast as it goes, by producers that wait, that drop, that give back, in a process of one
// mapping, so that ThreadSanitizer sees them; whatever a tap returns is one frame.
TEST(Tap, never_returns_a_torn_frame) {
  constexpr std::uint64_t kFrames = 6000;
  TestInstance instance({.geometry = {3, 1, 128, 256, PixelType::uint16}});
  auto first = must(Member::attach(instance.name(), Role::daemon, "supervisor"));
  const Member* beside = first.get();
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> torn{0}, out_of_order{0};
  std::array<std::atomic<std::uint64_t>, 2> seen{};

  const auto produce = [&](FullPolicy policy, std::uint64_t base) {
    auto producer = must(Producer::attach(instance.name(), {.label = "p", .full = policy, .beside = beside}));
    for (std::uint64_t i = 1; i <= kFrames; ++i) {
      auto frame = must(producer->claim(20s));
      for (auto& pixel : frame.pixels<std::uint16_t>()) pixel = static_cast<std::uint16_t>(base + i);
      frame.info().event_id = base + i;
      if (i % 10 == 9) continue;  // gives it back
      must(frame.commit());
    }
  };
  const auto infer_all = [&] {
    auto device = must(Consumer::attach(instance.name(), Queue::q1, "d", beside));
    while (!end) {
      auto taken = device->take(2, kMaxSequence, "run");
      if (taken.frames.empty()) device->wait_for_work(5ms);
      for (auto& frame : taken.frames) {
        for (auto& word : frame.mask()) word = frame.descriptor().event_id;
        must(frame.publish(ResultStatus::mask));
      }
    }
  };
  const auto write_all = [&] {
    auto writer = must(Consumer::attach(instance.name(), Queue::q2, "w", beside));
    while (!end) {
      auto taken = writer->take(2);
      if (taken.frames.empty()) writer->wait_for_work(5ms);
      for (auto& frame : taken.frames) must(frame.finish(Counter::written));
    }
  };
  const auto watch = [&](Tap::Want want) {
    auto tap = must(Tap::open(instance.name()));
    TapFrame frame;
    while (!end) {
      const std::uint64_t before = frame.sequence;
      const auto looked = tap->latest(frame, want);
      if (!looked && looked.error().id != "tap.overrun") throw std::runtime_error(looked.error().text());
      if (!looked || !*looked) continue;
      if (!whole(frame) || (want == Tap::Want::result && frame.mask.empty())) ++torn;
      if (frame.sequence <= before) ++out_of_order;
      ++seen.at(static_cast<std::size_t>(want));
    }
  };
  {
    std::vector<std::jthread> others;
    others.emplace_back(watch, Tap::Want::frame);
    others.emplace_back(watch, Tap::Want::result);
    others.emplace_back(infer_all);
    others.emplace_back(write_all);
    {
      std::vector<std::jthread> producers;
      producers.emplace_back(produce, FullPolicy::block, 0);
      producers.emplace_back(produce, FullPolicy::drop_oldest, 10000);
    }
    EXPECT_TRUE(test::eventually([&] { return instance.slots_in(SlotState::free) == 3; }));
    end = true;
  }
  EXPECT_EQ(torn, 0U);
  EXPECT_EQ(out_of_order, 0U);
  EXPECT_GT(seen[0], 0U);
  EXPECT_GT(seen[1], 0U);
  RecordProperty("frames_seen", static_cast<int>(seen[0]));
  RecordProperty("results_seen", static_cast<int>(seen[1]));
  EXPECT_BALANCED(instance);
}

}  // namespace
}  // namespace peaknet::shm
