#include "shm/participant.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "shm/clock.hpp"
#include "shm/errors.hpp"
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

void commit_frames(Producer& producer, int count) {
  for (int i = 0; i < count; ++i) must(must(producer.claim(1s)).commit());
}

// A participant that does something and is killed in the middle of it.
void die_after(const std::function<void()>& deed) {
  auto child = Child::run([&] {
    deed();
    raise(SIGKILL);
    return 1;
  });
  ASSERT_EQ(child.wait(), Exit::signal(SIGKILL));
}

void device_dies_with(TestInstance& instance, std::size_t frames) {
  die_after([&] {
    auto* device = instance.consumer(Queue::q1).release();
    auto* taken = new Consumer::Taken(device->take(frames));
    if (taken->frames.size() != frames) _exit(2);
  });
}

void writer_dies_with(TestInstance& instance, std::size_t frames) {
  die_after([&] {
    auto* writer = instance.consumer(Queue::q2).release();
    auto* taken = new Consumer::Taken(writer->take(frames));
    if (taken->frames.size() != frames) _exit(2);
  });
}

// Who attaches now is refused, with this id, and with these words in what the error says.
void expect_refused(const TestInstance& instance, const char* id, const char* words) {
  const auto refused = Participant::attach(instance.name(), Role::writer, "late");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, id);
  EXPECT_NE(refused.error().what.find(words), std::string::npos) << refused.error().text();
}

TEST(Participant, a_killed_producer_gives_its_slot_back_and_its_frame_never_existed) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  die_after([&] {
    auto* producer = instance.producer().release();
    new Frame(must(producer->claim(1s)));
    new Frame(must(producer->claim(1s)));
  });
  EXPECT_EQ(instance.slots_in(SlotState::filling), 2U);
  EXPECT_EQ(survivor->participant().recover_dead(), 2U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 2U);
  EXPECT_EQ(instance.total(Counter::producer_died), 2U);
  EXPECT_EQ(instance.total(Counter::committed), 0U);
  EXPECT_EQ(survivor->participant().recover_dead(), 0U) << "once is enough";
  EXPECT_BALANCED(instance);
}

TEST(Participant, messages_that_a_killed_producer_had_received_are_counted_once_and_named) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  survivor->participant().add_unhandled_messages(7);
  die_after([&] {
    auto* producer = instance.producer().release();
    producer->participant().add_unhandled_messages(4);
    producer->participant().add_unhandled_messages(-1);
  });
  EXPECT_EQ(instance.total(Counter::messages_lost), 0U);
  survivor->participant().recover_dead();
  EXPECT_EQ(instance.total(Counter::messages_lost), 3U) << "not those of one that lives";
  survivor->participant().recover_dead();
  EXPECT_EQ(instance.total(Counter::messages_lost), 3U);
  const auto errors = read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].id, "producer.died-with-messages");
  EXPECT_NE(errors[0].text.find("3 messages"), std::string::npos) << errors[0].text;
  // Whoever gets the id of a dead one first counts its messages too, and begins without any.
  die_after([&] { instance.producer().release()->participant().add_unhandled_messages(2); });
  const auto next = instance.producer();
  EXPECT_EQ(instance.total(Counter::messages_lost), 5U);
  EXPECT_EQ(next->participant().record().held.load(), 0U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, a_claim_finds_the_slots_of_the_dead_by_itself) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  die_after([&] {
    auto* producer = instance.producer().release();
    new Frame(must(producer->claim(1s)));
    new Frame(must(producer->claim(1s)));
  });
  const auto start = monotonic_ns();
  commit_frames(*survivor, 1);
  EXPECT_LT(monotonic_ns() - start, 1'000'000'000) << "within a tenth of a second on a quiet machine";
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U) << "a death is not a lost wake-up";
}

TEST(Participant, frames_that_a_killed_producer_had_committed_are_processed) {
  TestInstance instance;
  die_after([&] {
    auto* producer = instance.producer().release();
    commit_frames(*producer, 3);
    new Frame(must(producer->claim(1s)));
  });
  auto device = instance.consumer(Queue::q1);
  device->participant().recover_dead();
  EXPECT_EQ(device->take(8).frames.size(), 3U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, frames_of_a_killed_device_wait_again_in_their_old_order_with_one_attempt) {
  TestInstance instance;
  auto producer = instance.producer();
  commit_frames(*producer, 4);
  device_dies_with(instance, 2);
  producer->participant().recover_dead();
  auto device = instance.consumer(Queue::q1);
  EXPECT_EQ(instance.total(Counter::redelivered), 2U);
  auto taken = device->take(8);
  ASSERT_EQ(taken.frames.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(taken.frames[i].descriptor().producer_seq, i);
    EXPECT_EQ(taken.frames[i].attempts(), i < 2 ? 1U : 0U);
  }
  EXPECT_BALANCED(instance);
}

TEST(Participant, results_of_a_killed_writer_wait_again_and_the_next_one_knows_who_had_them) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 1);
  must(device->take(1).frames.at(0).publish(ResultStatus::mask));
  const std::uint64_t victim = instance.layout().next_number.load();
  writer_dies_with(instance, 1);
  EXPECT_EQ(instance.slots_in(SlotState::writing), 1U);
  device->participant().recover_dead();
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  auto writer = instance.consumer(Queue::q2);
  auto taken = writer->take(1);
  ASSERT_EQ(taken.frames.size(), 1U);
  EXPECT_EQ(taken.frames[0].attempts(), 1U);
  EXPECT_EQ(taken.frames[0].descriptor().last_writer, victim);
  must(taken.frames[0].finish(Counter::written));
  EXPECT_BALANCED(instance);
}

TEST(Participant, a_frame_that_took_three_devices_down_is_quarantined_and_counted_when_it_is_cleared) {
  TestInstance instance({.geometry = small_frames(3)});
  auto producer = instance.producer();
  auto daemon = instance.consumer(Queue::q1);
  commit_frames(*producer, 2);
  for (int death = 1; death <= 3; ++death) {
    EXPECT_EQ(instance.slots_in(SlotState::quarantined), 0U);
    device_dies_with(instance, 1);
    daemon->participant().recover_dead();
    ASSERT_BALANCED(instance);
  }
  EXPECT_EQ(instance.slots_in(SlotState::quarantined), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U) << "the other frame waits undisturbed";
  EXPECT_EQ(daemon->waiting(), 1U);
  EXPECT_EQ(instance.accounting().in_flight(), 2U) << "quarantined is not lost";

  const auto cleared = daemon->participant().clear_quarantine();
  ASSERT_EQ(cleared.size(), 1U);
  EXPECT_EQ(cleared[0].producer, producer->number());
  EXPECT_EQ(cleared[0].producer_seq, 0U);
  EXPECT_EQ(instance.total(Counter::failed_quarantined), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 2U);
  EXPECT_TRUE(daemon->participant().clear_quarantine().empty());
  EXPECT_BALANCED(instance);
}

TEST(Participant, deaths_on_both_sides_of_a_device_add_up) {
  TestInstance instance;
  auto producer = instance.producer();
  auto daemon = instance.consumer(Queue::q1);
  commit_frames(*producer, 1);
  device_dies_with(instance, 1);
  daemon->participant().recover_dead();
  must(daemon->take(1).frames.at(0).publish(ResultStatus::mask));
  writer_dies_with(instance, 1);
  daemon->participant().recover_dead();
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  writer_dies_with(instance, 1);
  daemon->participant().recover_dead();
  EXPECT_EQ(instance.slots_in(SlotState::quarantined), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, a_stopped_participant_is_never_declared_dead_and_finishes_what_it_held) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  auto stopped = Child::run([&] {
    auto producer = instance.producer();
    Frame frame = must(producer->claim(1s));
    raise(SIGSTOP);
    return frame.commit() ? 0 : 1;
  });
  ASSERT_TRUE(stopped.wait_stopped());
  for (int i = 0; i < 200; ++i) ASSERT_EQ(survivor->participant().recover_dead(), 0U);
  commit_frames(*survivor, 1);
  EXPECT_FALSE(survivor->claim(200ms)) << "the stopped one keeps its slot";
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
  stopped.go_on();
  EXPECT_EQ(stopped.wait(), Exit::code(0));
  EXPECT_EQ(instance.total(Counter::committed), 2U);
  EXPECT_EQ(instance.total(Counter::producer_died), 0U);
}

TEST(Participant, a_forked_child_does_not_keep_the_slots_of_its_dead_parent) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  auto parent = Child::run([&] {
    auto producer = instance.producer();
    Frame frame = must(producer->claim(1s));
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      pause();
      _exit(0);
    }
    if (write(report[1], &grandchild, sizeof grandchild) < 0) return 2;
    pause();
    return 3;
  });
  pid_t grandchild = 0;
  ASSERT_EQ(read(report[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  parent.kill();
  EXPECT_TRUE(test::eventually([&] { return survivor->participant().recover_dead() == 1; }));
  EXPECT_EQ(::kill(grandchild, 0), 0) << "it is still there";
  ::kill(grandchild, SIGKILL);
  close(report[0]);
  close(report[1]);
}

TEST(Participant, a_forked_child_that_destroys_what_it_inherited_disturbs_its_parent_in_nothing) {
  TestInstance instance({.geometry = small_frames(4)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 1);
  auto frame = std::make_unique<Frame>(must(producer->claim(1s)));
  auto taken = std::make_unique<Consumer::Taken>(device->take(1));
  auto child = Child::run([&] {
    // As a forked Python worker that leaves through exit(): every inherited handle is destroyed, with descriptors of
    // its own open.
    auto own = instance.producer();
    Frame own_frame = must(own->claim(1s));
    frame.reset();
    taken.reset();
    device.reset();
    producer.reset();
    return own_frame.commit() ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), Exit::code(0));
  EXPECT_EQ(instance.layout().participants[producer->participant().id()].presence.load(), Presence::attached);
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::inferring), 1U);
  auto observer = instance.consumer(Queue::q2);
  EXPECT_EQ(observer->participant().recover_dead(), 0U) << "both are alive";
  must(frame->commit());
  must(taken->frames.at(0).publish(ResultStatus::mask));
  EXPECT_EQ(instance.total(Counter::committed), 3U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, what_a_forked_child_tries_with_inherited_handles_is_refused) {
  TestInstance instance({.geometry = small_frames(4)});
  auto producer = instance.producer();
  auto child = Child::run([&] {
    auto frame = producer->claim(0s);
    return !frame && frame.error().id == "member.forked" ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), Exit::code(0));
  EXPECT_EQ(instance.slots_in(SlotState::free), 4U);
}

// The descriptors of this process on shared memory of the instance: those of the locks, as nothing else keeps one open.
std::vector<int> lock_descriptors(const std::string& instance) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == "/dev/shm" + control_segment_name(instance))
      found.push_back(std::stoi(entry.path().filename().string()));
  }
  return found;
}

// As a program that closes all descriptors above 2 to become a daemon: it lives, but nobody can tell it from a dead
// one.
template <class Attach>
auto with_closed_lock(const TestInstance& instance, const Attach& attach) {
  const auto before = lock_descriptors(instance.name());
  auto client = attach();
  for (const int fd : lock_descriptors(instance.name())) {
    if (std::find(before.begin(), before.end(), fd) == before.end()) ::close(fd);
  }
  return client;
}

TEST(Participant, one_who_was_declared_dead_and_comes_back_cannot_commit_into_the_slot_it_lost) {
  for (const bool id_reused : {false, true}) {
    TestInstance instance({.geometry = small_frames(2)});
    auto device = instance.consumer(Queue::q1);
    auto lost = with_closed_lock(instance, [&] { return instance.producer(); });
    Frame frame = must(lost->claim(0s));
    EXPECT_EQ(device->participant().recover_dead(), 1U);

    std::unique_ptr<Producer> next;
    std::optional<Frame> theirs;
    if (id_reused) {
      next = instance.producer();
      EXPECT_EQ(next->participant().id(), lost->participant().id());
      theirs.emplace(must(next->claim(0s)));
      theirs->info().event_id = 77;
      instance.pool().descriptor(0).event_id = 76;  // as if it had been half written
    }
    const std::uint64_t word = instance.pool().word(0).load();
    const Status refused = frame.commit();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().id, "frame.lost");
    EXPECT_EQ(instance.pool().word(0).load(), word);
    EXPECT_EQ(instance.pool().descriptor(0).event_id, id_reused ? 76U : 0U) << "wrote into the slot of another";
    EXPECT_EQ(lost->claim(0s).error().id, "member.lost");
    EXPECT_EQ(lost->participant().recover_dead(), 0U);
    lost.reset();
    if (id_reused) {
      EXPECT_TRUE(next->participant().registered()) << "signed off by another";
      must(theirs->commit());
      auto taken = device->take(8);
      ASSERT_EQ(taken.frames.size(), 1U);
      EXPECT_EQ(taken.frames[0].descriptor().event_id, 77U);
      EXPECT_EQ(taken.frames[0].descriptor().producer, next->number());
    }
    EXPECT_EQ(instance.total(Counter::committed), id_reused ? 1U : 0U);
    EXPECT_BALANCED(instance);
  }
}

TEST(Participant, one_who_was_declared_dead_cannot_publish_finish_or_drop_either) {
  TestInstance instance({.geometry = small_frames(2), .full = FullPolicy::drop_oldest});
  auto producer = instance.producer();
  for (int i = 0; i < 2; ++i) must(must(producer->claim(0s)).commit());
  const auto [device, dropper] =
      with_closed_lock(instance, [&] { return std::make_pair(instance.consumer(Queue::q1), instance.producer()); });
  auto taken = device->take(1);
  ASSERT_EQ(taken.frames.size(), 1U);
  EXPECT_EQ(producer->participant().recover_dead(), 1U);
  auto next = instance.consumer(Queue::q1);
  auto again = next->take(1);
  ASSERT_EQ(again.frames.size(), 1U);
  EXPECT_EQ(again.frames[0].attempts(), 1U);

  EXPECT_EQ(taken.frames[0].publish(ResultStatus::error).error().id, "frame.lost");
  EXPECT_EQ(instance.pool().descriptor(again.frames[0].slot()).result_status,
            static_cast<std::uint32_t>(ResultStatus::none));
  EXPECT_TRUE(device->take(8).frames.empty());
  EXPECT_EQ(dropper->claim(0s).error().id, "member.lost");
  must(again.frames[0].publish(ResultStatus::mask));

  auto writer = with_closed_lock(instance, [&] { return instance.consumer(Queue::q2); });
  auto results = writer->take(1);
  ASSERT_EQ(results.frames.size(), 1U);
  EXPECT_EQ(producer->participant().recover_dead(), 1U);
  EXPECT_EQ(results.frames[0].finish(Counter::written).error().id, "frame.lost");
  EXPECT_EQ(instance.total(Counter::written), 0U);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 0U);
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, the_next_holder_of_an_id_first_recovers_what_the_dead_one_left) {
  TestInstance instance({.geometry = small_frames(4)});
  {
    auto producer = instance.producer();
    commit_frames(*producer, 1);
  }
  device_dies_with(instance, 1);  // its id was 1, the lowest free one
  auto next = instance.producer();
  ASSERT_EQ(next->participant().id(), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U) << "recovered at attach, before anything else";
  EXPECT_EQ(instance.total(Counter::redelivered), 1U);
  Frame frame = must(next->claim(1s));
  auto observer = instance.consumer(Queue::q1);
  EXPECT_EQ(observer->participant().recover_dead(), 0U);
  must(frame.commit());
  EXPECT_BALANCED(instance);
}

TEST(Participant, the_journal_of_a_dead_commit_is_completed_from_the_word_alone) {
  // Killed inside exchange_counted: once before the exchange, once after it.
  for (const bool exchanged : {false, true}) {
    TestInstance instance({.geometry = small_frames(2)});
    std::uint32_t id = 0;
    {
      auto observer = instance.consumer(Queue::q2);  // id 1
      die_after([&] {
        auto* producer = instance.producer().release();
        new Frame(must(producer->claim(1s)));
        Participant& participant = producer->participant();
        const StateWord old = StateWord::unpack(instance.pool().word(0).load());
        IntentRecord& intent = participant.record().intent;
        const StateWord ready{old.sequence, 0, 0, SlotState::ready};
        intent.new_word.store(ready.pack());
        intent.slot.store(0);
        intent.rule.store(static_cast<std::uint32_t>(IntentRule::left_old));
        intent.counter.store(static_cast<std::uint32_t>(Counter::committed));
        intent.value.store(1);
        intent.old_word.store(old.pack());
        if (exchanged) instance.pool().word(0).store(ready.pack());
      });
      id = 2;
      EXPECT_FALSE(instance.accounting().settled) << "the counters are open until the dead one is recovered";
      observer->participant().recover_dead();
    }
    EXPECT_EQ(instance.layout().participants[id].intent.old_word.load(), 0U);
    EXPECT_EQ(instance.total(Counter::committed), exchanged ? 1U : 0U);
    EXPECT_EQ(instance.slots_in(SlotState::ready), exchanged ? 1U : 0U);
    EXPECT_BALANCED(instance);
  }
}

TEST(Participant, a_scribbled_journal_harms_nobody) {
  for (const std::uint32_t slot : {0xffffffffU, 0U}) {
    TestInstance instance;
    auto observer = instance.consumer(Queue::q2);
    die_after([&] {
      IntentRecord& intent = instance.producer().release()->participant().record().intent;
      intent.slot.store(slot);
      intent.counter.store(0xffffffffU);
      intent.rule.store(77);
      intent.old_word.store(~std::uint64_t{0});
    });
    observer->participant().recover_dead();
    EXPECT_EQ(instance.layout().participants[2].intent.old_word.load(), 0U);
    EXPECT_BALANCED(instance);
  }
}

TEST(Participant, two_who_recover_at_once_share_the_work_and_count_it_once) {
  constexpr int kRounds = 40;
  TestInstance instance({.geometry = small_frames(8)});
  for (int round = 0; round < kRounds; ++round) {
    die_after([&] {
      auto* producer = instance.producer().release();
      for (int i = 0; i < 8; ++i) new Frame(must(producer->claim(1s)));
    });
    std::vector<Child> recoverers;
    for (int i = 0; i < 3; ++i) {
      recoverers.push_back(Child::run([&] {
        auto consumer = instance.consumer(Queue::q1);
        while (instance.slots_in(SlotState::filling) != 0) consumer->participant().recover_dead();
        return 0;
      }));
    }
    for (auto& recoverer : recoverers) ASSERT_EQ(recoverer.wait(), Exit::code(0));
  }
  EXPECT_EQ(instance.total(Counter::producer_died), kRounds * 8U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 8U);
}

TEST(Participant, slots_that_a_dead_one_held_in_a_former_pool_come_back_too) {
  TestInstance instance({.geometry = small_frames(4)});
  auto former = must(instance.control_segment().open_pool(Access::read_write));
  {
    auto producer = instance.producer();
    commit_frames(*producer, 2);
  }
  auto observer = instance.consumer(Queue::q2);  // id 1
  die_after([&] {
    auto* device = instance.consumer(Queue::q1).release();
    new Consumer::Taken(device->take(1));
    auto* producer = instance.producer().release();
    new Frame(must(producer->claim(1s)));
  });
  instance.next_epoch(small_frames(3));
  must(observer->participant().follow_epoch());
  EXPECT_EQ(observer->participant().pool().epoch(), 2U);
  EXPECT_EQ(observer->participant().recover_dead(), 2U);
  const auto counts = former->count_states();
  EXPECT_EQ(counts[static_cast<std::size_t>(SlotState::ready)], 2U);
  EXPECT_EQ(counts[static_cast<std::size_t>(SlotState::free)], 2U);
  EXPECT_EQ(instance.pool().count_states()[static_cast<std::size_t>(SlotState::free)], 3U);
}

TEST(Participant, a_former_pool_that_is_gone_or_overwritten_keeps_nobody_out) {
  for (const bool gone : {true, false}) {
    TestInstance instance({.geometry = small_frames(4)});
    die_after([&] { new Frame(must(instance.producer().release()->claim(1s))); });
    const auto former = must(instance.control_segment().open_pool(Access::read_write));
    instance.next_epoch(small_frames(3));
    if (gone) {
      Segment::unlink(pool_name(instance.name(), 1));
    } else {
      former->header().slots = 0;
    }
    auto next = instance.producer();  // gets the dead one's id
    EXPECT_EQ(next->participant().id(), 1U);
    EXPECT_TRUE(next->claim(1s));
    EXPECT_BALANCED(instance);
  }
}

TEST(Participant, the_journal_of_one_who_died_in_a_former_pool_is_read_against_that_pool) {
  TestInstance instance({.geometry = small_frames(2)});
  auto observer = instance.consumer(Queue::q2);
  die_after([&] {
    auto* producer = instance.producer().release();
    new Frame(must(producer->claim(1s)));
    IntentRecord& intent = producer->participant().record().intent;
    intent.slot.store(0);
    intent.rule.store(static_cast<std::uint32_t>(IntentRule::left_old));
    intent.counter.store(static_cast<std::uint32_t>(Counter::committed));
    intent.value.store(1);
    intent.old_word.store(instance.pool().word(0).load());  // and dies before the exchange
  });
  instance.next_epoch(small_frames(2));
  must(observer->participant().follow_epoch());
  observer->participant().recover_dead();
  EXPECT_EQ(instance.total(Counter::committed), 0U) << "the frame was never committed";
  EXPECT_BALANCED(instance);
}

TEST(Participant, ids_are_reused_and_numbers_are_not) {
  TestInstance instance;
  std::set<std::uint64_t> numbers;
  for (int i = 0; i < 10; ++i) {
    auto first = instance.producer();
    auto second = instance.consumer(Queue::q2);
    EXPECT_EQ(first->participant().id(), 1U);
    EXPECT_EQ(second->participant().id(), 2U);
    EXPECT_TRUE(numbers.insert(first->number()).second);
    EXPECT_TRUE(numbers.insert(second->participant().number()).second);
    EXPECT_EQ(first->participant().record().role.load(), Role::producer);
    EXPECT_EQ(second->participant().record().role.load(), Role::writer);
    EXPECT_EQ(first->participant().record().pid.load(), static_cast<std::uint32_t>(getpid()));
    EXPECT_EQ(first->participant().record().label.load(), "test producer");
  }
}

TEST(Participant, a_full_house_refuses_the_next_one_and_lets_him_in_when_somebody_goes) {
  TestInstance instance;
  std::vector<std::unique_ptr<Participant>> members;
  for (std::uint32_t i = 1; i < kMaxParticipants; ++i)
    members.push_back(must(Participant::attach(instance.name(), Role::producer, "p")));
  auto late = Participant::attach(instance.name(), Role::writer, "late");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().id, "member.full");
  EXPECT_NE(late.error().what.find("255"), std::string::npos) << late.error().text();
  members.erase(members.begin() + 99);
  auto now = must(Participant::attach(instance.name(), Role::writer, "now"));
  EXPECT_EQ(now->id(), 100U);
}

TEST(Participant, attaching_to_nothing_or_to_something_else_says_what_is_wrong) {
  EXPECT_EQ(Participant::attach(TestInstance::unique_name(), Role::producer, "p").error().id, "shm.absent");
  TestInstance instance;
  instance.pool().header().header.layout_hash += 1;
  EXPECT_EQ(Participant::attach(instance.name(), Role::producer, "p").error().id, "pool.other-version");
  EXPECT_EQ(instance.layout().participants[1].presence.load(), Presence::never);
}

TEST(Participant, follows_the_daemon_to_its_first_pool) {
  TestInstance instance({.with_pool = false});
  auto participant = must(Participant::attach(instance.name(), Role::writer, "early"));
  EXPECT_FALSE(participant->has_pool());
  EXPECT_FALSE(participant->pool_is_live());
  EXPECT_EQ(participant->recover_dead(), 0U);
  EXPECT_EQ(participant->follow_epoch().error().id, "pool.none");
  instance.next_epoch(small_frames());
  EXPECT_TRUE(must(participant->follow_epoch()));
  EXPECT_FALSE(must(participant->follow_epoch())) << "there already";
  EXPECT_TRUE(participant->pool_is_live());
}

TEST(Participant, attaches_without_a_pool_where_somebody_removed_it_by_hand_and_gets_the_next_one) {
  TestInstance instance;
  die_after([&] { new Frame(must(instance.producer().release()->claim(1s))); });  // it held a slot of that pool
  ASSERT_TRUE(Segment::unlink(pool_name(instance.name(), 1)));
  auto participant = must(Participant::attach(instance.name(), Role::writer, "early"));
  EXPECT_EQ(participant->id(), 1U) << "that of the dead one, who has nothing to give back any more";
  EXPECT_FALSE(participant->has_pool());
  instance.next_epoch(small_frames(3));
  EXPECT_TRUE(must(participant->follow_epoch()));
  EXPECT_TRUE(instance.producer()->claim(1s));
  EXPECT_BALANCED(instance);
}

TEST(Participant, one_who_died_before_there_was_a_pool_is_signed_off_by_the_next) {
  TestInstance instance({.with_pool = false});
  auto survivor = must(Participant::attach(instance.name(), Role::daemon, "survivor"));
  die_after([&] { must(Participant::attach(instance.name(), Role::writer, "early")).release(); });
  EXPECT_EQ(instance.layout().participants[2].presence.load(), Presence::attached);
  EXPECT_EQ(survivor->recover_dead(), 0U);
  EXPECT_EQ(instance.layout().participants[2].presence.load(), Presence::left);
}

TEST(Participant, a_commit_that_was_cut_off_is_counted_also_when_its_pool_was_drained_and_removed_since) {
  TestInstance instance({.geometry = small_frames(2)});
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  die_after([&] {
    auto* producer = instance.producer().release();
    auto* frame = new Frame(must(producer->claim(1s)));
    frame->info().event_id = 5;
    const StateWord old = StateWord::unpack(instance.pool().word(0).load());
    // Killed between the exchange of the word and the store of the counter: a commit as exchange_counted makes it.
    must(frame->commit());
    auto& record = producer->participant().record();
    record.counters[static_cast<std::size_t>(Counter::committed)].store(0);
    record.intent.slot.store(0);
    record.intent.rule.store(static_cast<std::uint32_t>(IntentRule::left_old));
    record.intent.counter.store(static_cast<std::uint32_t>(Counter::committed));
    record.intent.value.store(1);
    record.intent.old_word.store(old.pack());
  });
  must(device->take(1).frames.at(0).publish(ResultStatus::mask));
  must(writer->take(1).frames.at(0).finish(Counter::written));
  instance.next_epoch(small_frames(2));
  ASSERT_TRUE(Segment::unlink(pool_name(instance.name(), 1)));
  must(device->participant().follow_epoch());
  EXPECT_EQ(instance.total(Counter::committed), 0U);
  device->participant().recover_dead();
  EXPECT_EQ(instance.total(Counter::committed), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, a_former_pool_that_may_not_be_opened_now_is_left_to_who_may) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.consumer(Queue::q2);
  die_after([&] { new Frame(must(instance.producer().release()->claim(1s))); });
  const auto former = must(instance.control_segment().open_pool(Access::read_write));
  const auto held = [&] { return former->count_states()[static_cast<std::size_t>(SlotState::filling)]; };
  instance.next_epoch(small_frames(3));
  must(survivor->participant().follow_epoch());
  const std::string file = "/dev/shm" + pool_name(instance.name(), 1);
  const bool watched = with_watched_calls(
      {SYS_openat}, [&](const Call& call) { return call.path() == file ? EACCES : 0; },
      [&] {
        EXPECT_EQ(survivor->participant().recover_dead(), 0U);
        const auto newcomer = Participant::attach(instance.name(), Role::producer, "gets the dead one's id");
        ASSERT_FALSE(newcomer);
        EXPECT_EQ(newcomer.error().id, "shm.denied");
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(held(), 1U);
  EXPECT_EQ(instance.layout().participants[2].presence.load(), Presence::attached) << "not forgotten";
  EXPECT_EQ(survivor->participant().recover_dead(), 1U);
  EXPECT_EQ(held(), 0U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, without_a_descriptor_for_its_lock_nobody_attaches) {
  TestInstance instance;
  const std::string file = "/dev/shm" + control_segment_name(instance.name());
  int opened = 0;
  const bool watched = with_watched_calls(
      {SYS_openat}, [&](const Call& call) { return call.path() == file && ++opened == 2 ? EMFILE : 0; },
      [&] { expect_refused(instance, "shm.cannot-open", "Too many open files"); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(instance.layout().participants[1].presence.load(), Presence::never);
  EXPECT_EQ(must(Participant::attach(instance.name(), Role::writer, "w"))->id(), 1U);
}

TEST(Participant, one_who_leaves_with_a_slot_in_hand_leaves_as_one_who_died) {
  TestInstance instance({.geometry = small_frames(2)});
  auto survivor = instance.producer();
  {
    auto leaving = must(Participant::attach(instance.name(), Role::producer, "leaving"));
    const auto free = StateWord::unpack(leaving->pool().word(1).load());
    ASSERT_TRUE(leaving->exchange(1, free, {free.sequence + 1, 0, leaving->id(), SlotState::filling}));
  }
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
  EXPECT_EQ(survivor->participant().recover_dead(), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 2U);
  EXPECT_BALANCED(instance);
}

TEST(Participant, a_name_that_somebody_removed_by_hand_ends_the_instance_only_with_its_daemon) {
  TestInstance instance;
  auto producer = instance.producer();
  ASSERT_TRUE(Segment::unlink(control_segment_name(instance.name())));
  EXPECT_FALSE(producer->participant().named());
  EXPECT_FALSE(producer->participant().instance_removed()) << "those who are attached go on";
  commit_frames(*producer, 1);
  instance.drop_owner();
  EXPECT_TRUE(producer->participant().instance_removed());
}

TEST(Participant, one_who_was_declared_dead_or_forked_counts_and_notes_nothing_for_another) {
  TestInstance instance;
  auto survivor = instance.consumer(Queue::q1);
  auto lost = with_closed_lock(instance, [&] { return instance.producer(); });
  survivor->participant().recover_dead();
  ASSERT_FALSE(lost->participant().registered());
  lost->participant().count(Counter::messages_lost, 5);
  lost->participant().add_unhandled_messages(3);
  EXPECT_EQ(instance.total(Counter::messages_lost), 0U);
  EXPECT_EQ(lost->participant().record().held.load(), 0U);
  auto copy = Child::run([&] {
    survivor->participant().record_error({"a.b", "of the child", "", ""});
    return 0;
  });
  EXPECT_EQ(copy.wait(), Exit::code(0));
  EXPECT_TRUE(read_errors(instance.control_segment()).empty());
  survivor->participant().record_error({"a.b", "of the parent", "", ""});
  EXPECT_EQ(read_errors(instance.control_segment()).size(), 1U);
}

// Who writes into the words without a right changes the oldest one faster than anybody can look at it twice.
TEST(Participant, a_frame_is_found_beside_a_word_that_somebody_writes_without_end) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  commit_frames(*producer, 1);
  std::uint32_t steady = 0;
  if (StateWord::unpack(instance.pool().word(0).load()).state != SlotState::ready) steady = 1;
  const auto word = StateWord::unpack(instance.pool().word(steady).load());
  instance.pool().word(steady).store(StateWord{1'000'000'000, 0, 0, SlotState::ready}.pack());
  const auto device = instance.consumer(Queue::q1);
  std::atomic<bool> begun{false}, end{false};
  std::jthread scribbler([&] {
    for (std::uint64_t sequence = 1; !end; sequence = sequence % 900'000'000 + 1, begun = true)
      instance.pool()
          .word(1 - steady)
          .store(StateWord{sequence, 0, 0, SlotState::ready}.pack(), std::memory_order_relaxed);
  });
  while (!begun) std::this_thread::yield();
  int found = 0, alone = 0;  // alone: without the other, which is a matter of luck on a busy machine
  const auto until = std::chrono::steady_clock::now() + 1s;
  while (alone < 50 && std::chrono::steady_clock::now() < until) {
    const auto seen = device->participant().oldest(SlotState::ready, 2, kMaxSequence);
    ASSERT_TRUE(std::ranges::is_sorted(seen, {}, [](const Participant::Candidate& c) { return c.word.sequence; }));
    const bool there = std::ranges::count(seen, steady, &Participant::Candidate::slot) == 1;
    found += there ? 1 : 0;
    alone += there && seen.size() == 1 ? 1 : 0;
  }
  end = true;
  scribbler.join();
  EXPECT_GT(found, 0);
  instance.pool().word(1 - steady).store(StateWord{word.sequence + 1, 0, 0, SlotState::free}.pack());
  instance.pool().word(steady).store(word.pack());
  EXPECT_EQ(instance.consumer(Queue::q1)->take(2).frames.size(), 1U);
}

TEST(Participant, who_arrives_while_the_instance_loses_its_name_is_told_that_it_is_just_being_removed) {
  TestInstance instance;
  const bool watched = with_watched_calls(
      {SYS_fcntl},
      [&](const Call& call) {
        if (call.arguments[1] == F_OFD_SETLKW) Segment::unlink(control_segment_name(instance.name()));
        return 0;
      },
      [&] { expect_refused(instance, "shm.absent", "just being removed"); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(instance.layout().participants[1].presence.load(), Presence::never);
}

TEST(Participant, who_cannot_lock_the_directory_is_told_the_cause_and_not_that_the_instance_is_gone) {
  TestInstance instance;
  const bool watched = with_watched_calls(
      {SYS_fcntl}, [&](const Call& call) { return call.arguments[1] == F_OFD_SETLKW ? ENOLCK : 0; },
      [&] { expect_refused(instance, "shm.no-locks", "No locks available"); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_TRUE(Participant::attach(instance.name(), Role::writer, "late").ok());
}

TEST(Participant, a_drop_that_was_cut_off_before_it_was_counted_is_counted_by_who_recovers_it) {
  TestInstance instance({.geometry = small_frames(2), .full = FullPolicy::drop_oldest});
  auto survivor = instance.producer();
  commit_frames(*survivor, 2);
  die_after([&] {
    auto* producer = instance.producer().release();
    const std::uint64_t oldest = instance.pool().word(0).load();
    new Frame(must(producer->claim(1s)));  // drops it; killed between the exchange of the word and the counter
    auto& record = producer->participant().record();
    record.counters[static_cast<std::size_t>(Counter::dropped_oldest)].store(0);
    record.intent.new_word.store(instance.pool().word(0).load());
    record.intent.slot.store(0);
    record.intent.rule.store(static_cast<std::uint32_t>(IntentRule::reached_new));
    record.intent.counter.store(static_cast<std::uint32_t>(Counter::dropped_oldest));
    record.intent.value.store(1);
    record.intent.old_word.store(oldest);
  });
  EXPECT_EQ(survivor->participant().recover_dead(), 1U);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 1U);
  EXPECT_BALANCED(instance);
}

}  // namespace
}  // namespace peaknet::shm
