#include "shm/tap.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Child;
using test::Exit;
using test::kCannotWatch;
using test::must;
using test::small_frames;
using test::TestInstance;
using test::with_watched_calls;

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
  const FrameAccounting before = instance.accounting();
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
  EXPECT_EQ(watcher.wait(), Exit::code(2)) << "read-only mappings of control segment and pool";
  const FrameAccounting after = instance.accounting();
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
  auto first = must(Participant::attach(instance.name(), Role::daemon, "supervisor"));
  const Mappings shared = first->mappings();
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> torn{0}, out_of_order{0};
  std::array<std::atomic<std::uint64_t>, 2> seen{};

  const auto produce = [&](FullPolicy policy, std::uint64_t base) {
    auto producer = must(Producer::attach(instance.name(), {.label = "p", .full = policy, .mappings = shared}));
    for (std::uint64_t i = 1; i <= kFrames; ++i) {
      auto frame = must(producer->claim(20s));
      for (auto& pixel : frame.pixels<std::uint16_t>()) pixel = static_cast<std::uint16_t>(base + i);
      frame.info().event_id = base + i;
      if (i % 10 == 9) continue;  // gives it back
      must(frame.commit());
    }
  };
  const auto infer_all = [&] {
    auto device = must(Consumer::attach(instance.name(), Queue::q1, "d", shared));
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
    auto writer = must(Consumer::attach(instance.name(), Queue::q2, "w", shared));
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

// Opens a tap while others do something just before it opens the object of that name for the nth time; `judge` looks at
// what it got. False: it cannot be had here.
bool open_while(const TestInstance& instance, const std::string& object, const std::function<int(int)>& before,
                const std::function<void(Result<std::unique_ptr<Tap>>)>& judge) {
  int opened = 0;
  return with_watched_calls(
      {SYS_openat}, [&](const Call& call) { return call.path() == "/dev/shm" + object ? before(++opened) : 0; },
      [&] { judge(Tap::open(instance.name())); });
}

void start_anew(TestInstance& instance) {
  instance.drop_owner();
  test::remove_shared_memory(instance.name());
  instance.take_owner();
  instance.next_epoch(small_frames(3));
}

TEST(Tap, opened_while_the_instance_is_made_anew_looks_into_the_new_one) {
  TestInstance instance;
  commit(*instance.producer(), 1);
  const auto name = control_segment_name(instance.name());
  // The control segment is opened to check it, then to be kept, then to be mapped.
  const bool watched = open_while(
      instance, name,
      [&](int opening) {
        if (opening != 3) return 0;
        start_anew(instance);
        commit(*instance.producer(), 2);
        return 0;
      },
      [&](Result<std::unique_ptr<Tap>> tap) {
        TapFrame frame;
        ASSERT_TRUE(must((*must(std::move(tap))).latest(frame)));
        EXPECT_EQ(frame.descriptor.event_id, 2U);
        EXPECT_EQ(frame.geometry.slots, 3U);
        EXPECT_TRUE(whole(frame));
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
}

TEST(Tap, opened_while_the_instance_comes_and_goes_without_end_gives_up) {
  TestInstance instance;
  int made = 0;
  const bool watched = open_while(
      instance, control_segment_name(instance.name()),
      [&](int opening) {
        if (opening % 3 == 0) {
          ++made;
          start_anew(instance);
        }
        return 0;
      },
      [](Result<std::unique_ptr<Tap>> tap) {
        ASSERT_FALSE(tap);
        EXPECT_EQ(tap.error().id, "instance.removed");
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(made, 64);
}

TEST(Tap, opened_while_the_instance_is_removed_or_descriptors_run_out_says_so) {
  TestInstance instance;
  const auto name = control_segment_name(instance.name());
  const auto refused_with = [](const std::string& id) {
    return [id](Result<std::unique_ptr<Tap>> tap) {
      ASSERT_FALSE(tap);
      EXPECT_EQ(tap.error().id, id) << tap.error().text();
    };
  };
  const bool watched = open_while(
      instance, name, [](int opening) { return opening == 2 ? EMFILE : 0; }, refused_with("shm.cannot-open"));
  if (!watched) GTEST_SKIP() << kCannotWatch;
  for (const int step : {2, 3}) {
    TestInstance removed;
    open_while(
        removed, control_segment_name(removed.name()),
        [&](int opening) {
          if (opening == step) Segment::unlink(control_segment_name(removed.name()));
          return 0;
        },
        refused_with("shm.absent"));
  }
  EXPECT_TRUE(Tap::open(instance.name()));
}

TEST(Tap, opened_while_the_pool_is_replaced_looks_into_the_new_one) {
  // The pool's object is opened to be read, then to be mapped: it is replaced before the first or before the second, by
  // the next epoch or, after a removal by hand, by one of the same epoch; or it cannot be read just then.
  enum class Then { next_epoch, same_epoch, no_descriptor };
  for (const auto& [step, then] : {std::pair{1, Then::next_epoch}, {2, Then::same_epoch}, {1, Then::no_descriptor}}) {
    TestInstance instance;
    commit(*instance.producer(), 1);
    std::shared_ptr<Pool> made;
    const bool watched = open_while(
        instance, pool_name(instance.name(), 1),
        [&, step = step, then = then](int opening) {
          if (opening != step) return 0;
          if (then == Then::no_descriptor) return EMFILE;
          if (then == Then::next_epoch) {
            instance.next_epoch(small_frames(3));
          } else {
            Segment::unlink(pool_name(instance.name(), 1));
            made = must(Pool::create(instance.name(), 1, small_frames(3), FullPolicy::block,
                                     instance.control_segment().uuid(), {.mode = 0600}));
          }
          return 0;
        },
        [then = then](Result<std::unique_ptr<Tap>> tap) {
          ASSERT_TRUE(tap) << tap.error().text();
          EXPECT_EQ((*tap)->geometry(), small_frames(then == Then::no_descriptor ? 8 : 3));
        });
    if (!watched) GTEST_SKIP() << kCannotWatch;
    auto tap = must(Tap::open(instance.name()));
    commit(*instance.producer(), 2);
    TapFrame frame;
    EXPECT_TRUE(must(tap->latest(frame)));
    EXPECT_TRUE(whole(frame));
  }
}

TEST(Tap, a_copy_goes_on_after_signals_and_ends_with_an_error_where_memory_cannot_be_read) {
  TestInstance instance;
  commit(*instance.producer(), 1);
  auto tap = must(Tap::open(instance.name()));
  TapFrame frame;
  const bool watched = with_watched_calls(
      {SYS_pread64}, [](const Call&) { return EIO; },
      [&] {
        const auto looked = tap->latest(frame);
        ASSERT_FALSE(looked);
        EXPECT_EQ(looked.error().untouched, "nothing was copied");
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(frame.sequence, 0U);
  int reads = 0;
  with_watched_calls(
      {SYS_pread64}, [&](const Call&) { return ++reads % 2 == 1 ? EINTR : 0; },
      [&] { EXPECT_TRUE(must(tap->latest(frame))); });
  EXPECT_TRUE(whole(frame));
}

TEST(Tap, throws_away_the_copy_of_a_frame_that_is_quarantined_meanwhile) {
  TestInstance instance;
  auto producer = instance.producer();
  commit(*producer, 1);
  commit(*producer, 2);
  auto tap = must(Tap::open(instance.name()));
  std::uint32_t newest = 0;
  for (std::uint32_t slot = 1; slot < 8; ++slot) {
    if (instance.pool().descriptor(slot).event_id == 2) newest = slot;
  }
  TapFrame frame;
  const bool watched = with_watched_calls(
      {SYS_pread64},
      [&](const Call&) {
        auto word = StateWord::unpack(instance.pool().word(newest).load());
        word.state = SlotState::quarantined;
        instance.pool().word(newest).store(word.pack());
        return 0;
      },
      [&] { EXPECT_TRUE(must(tap->latest(frame))); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(frame.descriptor.event_id, 1U) << "the one before it";
  EXPECT_TRUE(whole(frame));
}

TEST(Tap, does_not_show_a_frame_whose_description_is_nonsense) {
  TestInstance instance;
  auto producer = instance.producer();
  auto tap = must(Tap::open(instance.name()));
  commit(*producer, 1);
  commit(*producer, 2);
  for (std::uint32_t slot = 0; slot < 8; ++slot) {
    auto& descriptor = instance.pool().descriptor(slot);
    if (descriptor.event_id == 2) descriptor.original_height = 0xffffffffU;
  }
  TapFrame frame;
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_EQ(frame.descriptor.event_id, 1U);
}

TEST(Tap, goes_on_looking_into_a_pool_whose_name_was_removed_by_hand) {
  TestInstance instance;
  auto producer = instance.producer();
  commit(*producer, 1);
  auto tap = must(Tap::open(instance.name()));
  ASSERT_TRUE(Segment::unlink(pool_name(instance.name(), 1)));
  TapFrame frame;
  ASSERT_TRUE(must(tap->latest(frame)));
  EXPECT_EQ(frame.descriptor.event_id, 1U);
  EXPECT_TRUE(whole(frame));
}

TEST(Tap, takes_a_name_that_leads_to_another_device_for_another_instance) {
  TestInstance instance;
  commit(*instance.producer(), 1);
  auto tap = must(Tap::open(instance.name()));
  ASSERT_TRUE(Segment::unlink(control_segment_name(instance.name())));
  std::filesystem::create_symlink("/proc/self/status", "/dev/shm" + control_segment_name(instance.name()));
  TapFrame frame;
  const auto looked = tap->latest(frame);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().id, "instance.removed");
}

TEST(Tap, says_so_when_every_frame_it_tries_is_overwritten_before_its_copy_is_complete) {
  TestInstance instance;
  auto producer = instance.producer();
  commit(*producer, 1);
  auto tap = must(Tap::open(instance.name()));
  TapFrame frame;
  ASSERT_TRUE(must(tap->latest(frame)));
  commit(*producer, 2);
  std::uint32_t newest = 0;
  while (instance.pool().descriptor(newest).event_id != 2) ++newest;
  int reads = 0;
  const bool watched = with_watched_calls(
      {SYS_pread64},
      [&](const Call&) {
        ++reads;
        auto word = StateWord::unpack(instance.pool().word(newest).load());
        ++word.sequence;
        instance.pool().word(newest).store(word.pack());
        return 0;
      },
      [&] {
        const auto looked = tap->latest(frame);
        ASSERT_FALSE(looked);
        EXPECT_EQ(looked.error().id, "tap.overrun");
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(reads, 64) << "it comes to an end";
  EXPECT_EQ(frame.descriptor.event_id, 1U) << "the copy it had is as it was";
  EXPECT_TRUE(whole(frame));
}

}  // namespace
}  // namespace peaknet::shm
