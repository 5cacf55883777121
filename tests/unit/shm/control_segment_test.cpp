#include "shm/control_segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"
#include "tests/unit/shm/shared_block.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Child;
using test::kCannotWatch;
using test::must;
using test::Shared;
using test::shared_memory_of;
using test::small_frames;
using test::TestInstance;
using test::with_watched_calls;

std::string error_of(const std::string& instance) {
  auto control_segment = ControlSegment::open(instance, Access::read_write);
  return control_segment ? "" : control_segment.error().id;
}

std::string file_of(const TestInstance& instance) { return "/dev/shm" + control_segment_name(instance.name()); }

TEST(ControlSegment, of_an_instance_that_does_not_run_is_absent) {
  auto control_segment = ControlSegment::open(TestInstance::unique_name(), Access::read_only);
  ASSERT_FALSE(control_segment);
  EXPECT_EQ(control_segment.error().id, "shm.absent");
  EXPECT_NE(control_segment.error().remedy.find("peaknetd"), std::string::npos);
}

TEST(ControlSegment, names_that_could_mean_another_file_are_refused_by_everybody) {
  for (const std::string name : {"", ".", "..", "a/b", "../x", "a.b", "-x", "a b", "x.g1"}) {
    EXPECT_EQ(error_of(name), "instance.bad-name") << name;
    EXPECT_EQ(InstanceOwner::take(name, {}).error().id, "instance.bad-name") << name;
    EXPECT_EQ(Participant::attach(name, Role::producer, "").error().id, "instance.bad-name") << name;
  }
  EXPECT_EQ(error_of(std::string(65, 'a')), "instance.bad-name");
}

TEST(ControlSegment, an_object_that_is_not_ours_is_not_touched) {
  TestInstance instance;
  instance.layout().header.magic = 0x1234;
  EXPECT_EQ(error_of(instance.name()), "directory.foreign");
  EXPECT_EQ(Participant::attach(instance.name(), Role::writer, "").error().id, "directory.foreign");
  instance.drop_owner();
  EXPECT_EQ(InstanceOwner::take(instance.name(), {}).error().id, "directory.foreign") << "not even by a daemon";
  EXPECT_EQ(instance.layout().header.magic, 0x1234U);
}

TEST(ControlSegment, one_of_another_version_is_refused_with_both_versions) {
  TestInstance instance;
  instance.layout().header.layout_hash ^= 1;
  auto control_segment = ControlSegment::open(instance.name(), Access::read_write);
  ASSERT_FALSE(control_segment);
  EXPECT_EQ(control_segment.error().id, "directory.other-version");
  EXPECT_NE(control_segment.error().what.find(std::to_string(kLayoutHash)), std::string::npos);
  EXPECT_NE(control_segment.error().what.find(std::to_string(kLayoutHash ^ 1)), std::string::npos);
  instance.layout().header.layout_hash ^= 1;
  instance.layout().header.abi_major = 9;
  EXPECT_EQ(error_of(instance.name()), "directory.other-version");
}

TEST(ControlSegment, a_truncated_one_is_refused_as_such) {
  TestInstance instance;
  ASSERT_EQ(truncate(file_of(instance).c_str(), 65536), 0);
  auto control_segment = ControlSegment::open(instance.name(), Access::read_only);
  ASSERT_FALSE(control_segment);
  EXPECT_EQ(control_segment.error().id, "shm.too-small") << control_segment.error().text();
  EXPECT_NE(control_segment.error().what.find("65536"), std::string::npos) << control_segment.error().text();
  ASSERT_EQ(truncate(file_of(instance).c_str(), 3), 0);
  EXPECT_EQ(error_of(instance.name()), "shm.too-small");
}

TEST(ControlSegment, one_that_everybody_may_write_is_refused) {
  TestInstance instance;
  ASSERT_EQ(chmod(file_of(instance).c_str(), 0666), 0);
  EXPECT_EQ(error_of(instance.name()), "shm.world-writable");
}

TEST(InstanceOwner, a_second_daemon_is_refused_with_the_pid_of_the_first) {
  TestInstance instance;
  auto second = InstanceOwner::take(instance.name(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().id, "instance.taken");
  EXPECT_NE(second.error().what.find("pid " + std::to_string(getpid())), std::string::npos) << second.error().text();
  auto other_process = Child::run([&] { return InstanceOwner::take(instance.name(), {}).ok() ? 1 : 0; });
  EXPECT_EQ(other_process.wait(), test::Exit::code(0));
  EXPECT_TRUE(instance.producer()->claim(1s)) << "the first one goes on undisturbed";
}

TEST(InstanceOwner, a_daemon_that_comes_back_adopts_everything_that_was_left) {
  TestInstance instance({.with_pool = false});
  const std::string name = instance.name();
  instance.drop_owner();
  test::remove_shared_memory(name);
  auto daemon = Child::run([&] {
    auto owner = must(InstanceOwner::take(name, {.mode = 0600}));
    if (owner.adopted()) return 1;
    must(Pool::create(name, 1, small_frames(6), FullPolicy::block, owner.control_segment()->uuid(), {.mode = 0600}));
    owner.control_segment()->layout().epoch.store(1);
    auto producer = must(Producer::attach(name));
    for (int i = 0; i < 4; ++i) must(must(producer->claim(1s)).commit());
    auto device = must(Consumer::attach(name, Queue::q1, "device"));
    auto taken = device->take(1);
    must(taken.frames.at(0).publish(ResultStatus::mask));
    auto held = device->take(1);
    raise(SIGKILL);
    return 2;
  });
  EXPECT_EQ(daemon.wait(), test::Exit::signal(SIGKILL));

  instance.take_owner();
  EXPECT_TRUE(instance.owner().adopted());
  EXPECT_EQ(instance.pool().geometry(), small_frames(6));
  auto device = instance.consumer(Queue::q1);
  device->participant().recover_dead();
  EXPECT_EQ(instance.slots_in(SlotState::ready), 3U);
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  EXPECT_EQ(instance.total(Counter::committed), 4U);
  EXPECT_BALANCED(instance);
}

TEST(InstanceOwner, of_many_daemons_that_start_at_once_exactly_one_wins_and_the_others_say_why) {
  struct Evidence {
    std::atomic<int> go{0}, won{0}, refused{0}, other{0}, adopted{0};
    std::atomic<int> done{0};
  };
  constexpr int kDaemons = 4;
  for (int round = 0; round < 60; ++round) {
    Shared<Evidence> shared;
    const std::string name = TestInstance::unique_name();
    std::vector<Child> daemons;
    for (int i = 0; i < kDaemons; ++i) {
      daemons.push_back(Child::run([&] {
        while (shared->go == 0) {
        }
        auto owner = InstanceOwner::take(name, {.mode = 0600});
        if (owner) {
          ++shared->won;
        } else if (owner.error().id == "instance.taken") {
          ++shared->refused;
        } else {
          ++shared->other;
          std::fprintf(stderr, "%s\n", owner.error().text().c_str());
        }
        ++shared->done;
        while (shared->done < kDaemons) std::this_thread::yield();  // the winner keeps it until all have tried
        return 0;
      }));
    }
    shared->go = 1;
    for (auto& daemon : daemons) EXPECT_EQ(daemon.wait(), test::Exit::code(0));
    EXPECT_EQ(shared->won, 1);
    EXPECT_EQ(shared->refused, kDaemons - 1);
    EXPECT_EQ(shared->other, 0);
    EXPECT_EQ(shared_memory_of(name), (std::vector<std::string>{"peaknet." + name})) << "and no leftovers";
    test::remove_shared_memory(name);
    if (HasFailure()) return;
  }
}

TEST(InstanceOwner, removes_what_a_daemon_that_died_while_it_created_something_left) {
  TestInstance instance;
  const std::string stem = file_of(instance);
  for (const std::string suffix : {".5f3a.tmp", ".g2.tmp", ".g7.1a2b.tmp", ".9f00.tmp"})
    std::ofstream(stem + suffix) << "half-built";
  const std::string neighbour = stem + "-b.g1.tmp";
  std::ofstream(neighbour) << "of the instance with the longer name";
  instance.drop_owner();
  instance.take_owner();
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U) << "the control segment and its pool";
  EXPECT_EQ(access(neighbour.c_str(), F_OK), 0);
  unlink(neighbour.c_str());
  EXPECT_TRUE(instance.producer()->claim(1s));
}

TEST(InstanceOwner, a_pool_that_no_directory_names_does_not_stop_the_next_start) {
  // Killed between the pool's rename and the store of its epoch.
  TestInstance instance;
  must(Pool::create(instance.name(), 2, small_frames(), FullPolicy::block, instance.control_segment().uuid(),
                    {.mode = 0600}));
  instance.drop_owner();
  instance.take_owner();
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  instance.next_epoch(small_frames(3));
  EXPECT_EQ(instance.pool().epoch(), 2U);

  // The control segment was removed by hand, its pools stayed.
  instance.drop_owner();
  Segment::unlink(control_segment_name(instance.name()));
  instance.take_owner();
  EXPECT_FALSE(instance.owner().adopted());
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 1U);
  instance.next_epoch(small_frames(3));
  EXPECT_TRUE(instance.producer()->claim(1s));
}

TEST(InstanceOwner, a_pool_of_a_former_epoch_with_frames_in_it_is_kept) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  instance.next_epoch(small_frames(3));
  instance.drop_owner();
  instance.take_owner();
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 3U);
}

TEST(InstanceOwner, a_removal_that_was_killed_half_way_is_completed_by_the_next_start) {
  for (const bool pool_is_gone : {false, true}) {
    TestInstance instance;
    instance.layout().header.state.store(SegmentState::removed);
    if (pool_is_gone) Segment::unlink(pool_name(instance.name(), 1));
    instance.drop_owner();
    EXPECT_EQ(Producer::attach(instance.name()).error().id, "shm.absent");
    instance.take_owner();
    EXPECT_FALSE(instance.owner().adopted()) << "a new instance";
    EXPECT_EQ(shared_memory_of(instance.name()).size(), 1U);
    instance.next_epoch(small_frames(2));
    EXPECT_TRUE(instance.producer()->claim(1s));
  }
}

TEST(InstanceOwner, removes_the_instance_when_nobody_uses_it) {
  TestInstance instance;
  { auto producer = instance.producer(); }
  EXPECT_TRUE(instance.owner().remove_if_unused());
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
  EXPECT_EQ(error_of(instance.name()), "shm.absent");
}

TEST(InstanceOwner, keeps_the_instance_while_somebody_is_attached) {
  TestInstance instance;
  auto producer = instance.producer();
  EXPECT_FALSE(instance.owner().remove_if_unused());
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  EXPECT_TRUE(instance.consumer(Queue::q1)) << "others may still attach";
  producer.reset();
  EXPECT_TRUE(instance.owner().remove_if_unused());
}

TEST(InstanceOwner, keeps_the_instance_while_a_frame_waits) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  EXPECT_FALSE(instance.owner().remove_if_unused());
  must(instance.consumer(Queue::q1)->take(1).frames.at(0).publish(ResultStatus::mask));
  EXPECT_FALSE(instance.owner().remove_if_unused());
  must(instance.consumer(Queue::q2)->take(1).frames.at(0).finish(Counter::written));
  EXPECT_TRUE(instance.owner().remove_if_unused());
}

TEST(InstanceOwner, keeps_the_instance_while_frames_of_a_former_epoch_wait) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  instance.next_epoch(small_frames(3));
  EXPECT_FALSE(instance.owner().remove_if_unused());
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 3U);
}

TEST(InstanceOwner, a_stopped_participant_is_somebody) {
  TestInstance instance;
  auto stopped = Child::run([&] {
    auto producer = instance.producer();
    raise(SIGSTOP);
    return 0;
  });
  ASSERT_TRUE(stopped.wait_stopped());
  EXPECT_FALSE(instance.owner().remove_if_unused());
  stopped.kill();
  EXPECT_TRUE(instance.owner().remove_if_unused());
}

TEST(InstanceOwner, a_look_that_removes_nothing_refuses_no_newcomer) {
  TestInstance instance;
  auto keeps_it = instance.producer();
  struct Evidence {
    std::atomic<bool> stop{false};
    std::atomic<int> attached{0}, refused{0};
  };
  Shared<Evidence> shared;
  auto newcomer = Child::run([&] {
    while (!shared->stop) ++(Producer::attach(instance.name()) ? shared->attached : shared->refused);
    return 0;
  });
  for (int i = 0; i < 3000 || shared->attached < 200; ++i) ASSERT_FALSE(instance.owner().remove_if_unused());
  shared->stop = true;
  EXPECT_EQ(newcomer.wait(), test::Exit::code(0));
  EXPECT_EQ(shared->refused, 0);
}

TEST(InstanceOwner, removal_and_arrival_at_the_same_moment_end_one_way_or_the_other) {
  for (int round = 0; round < 150; ++round) {
    TestInstance instance;
    Shared<std::atomic<int>> go;
    auto newcomer = Child::run([&] {
      while (*go == 0) {
      }
      auto producer = Producer::attach(instance.name());
      if (!producer) return producer.error().id == "shm.absent" ? 10 : 1;
      auto frame = (*producer)->claim(0s);
      if (!frame || !frame->commit()) return 2;
      return 20;
    });
    *go = 1;
    const bool removed = instance.owner().remove_if_unused();
    const auto exit = newcomer.wait();
    if (removed) {
      ASSERT_EQ(exit, test::Exit::code(10)) << "round " << round;
    } else {
      ASSERT_EQ(exit, test::Exit::code(20)) << "round " << round;
      ASSERT_EQ(instance.slots_in(SlotState::ready), 1U);
    }
  }
}

// What a daemon does with the pool that the last one left.
TEST(ControlSegment, a_pool_that_was_cut_or_written_over_is_given_up_and_one_in_order_is_kept) {
  const auto given_up = [](const std::function<void(TestInstance&)>& damage) -> std::string {
    TestInstance instance;
    damage(instance);
    const auto found = instance.owner().unlink_damaged_pool();
    const auto name = pool_name(instance.name(), 1).substr(1);
    EXPECT_EQ(std::filesystem::exists("/dev/shm/" + name), !found);
    return found ? found->id : "";
  };
  EXPECT_EQ(given_up([](TestInstance&) {}), "");
  EXPECT_EQ(given_up([](TestInstance& it) { it.pool().header().header.magic += 1; }), "pool.foreign");
  EXPECT_EQ(given_up([](TestInstance& it) { it.pool().header().slots = 3000; }), "pool.damaged");
  EXPECT_EQ(given_up([](TestInstance& it) { std::filesystem::resize_file("/dev/shm" + pool_name(it.name(), 1), 100); }),
            "shm.too-small");
  // Of another version: another program may want it.
  EXPECT_EQ(given_up([](TestInstance& it) { it.pool().header().header.layout_hash += 1; }), "");
}

TEST(InstanceOwner, names_that_are_nearly_those_of_a_pool_are_nobody_and_are_left_alone) {
  TestInstance instance;
  const std::string stem = file_of(instance);
  const std::vector<std::string> foreign{".g0", ".g1x", ".gx", ".g99999999999999999999", ".notes"};
  for (const auto& suffix : foreign) {
    EXPECT_FALSE(pool_epoch(suffix)) << suffix;
    std::ofstream(stem + suffix) << "of somebody else";
  }
  instance.drop_owner();
  instance.take_owner();
  EXPECT_TRUE(instance.owner().remove_if_unused()) << "they hold no frames";
  EXPECT_EQ(shared_memory_of(instance.name()).size(), foreign.size());
  for (const auto& suffix : foreign) EXPECT_TRUE(std::filesystem::exists(stem + suffix)) << suffix;
}

TEST(InstanceOwner, a_former_pool_that_cannot_be_opened_keeps_nobody_from_removing_the_instance) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  instance.pool().header().header.magic = 0;
  instance.next_epoch(small_frames(3));
  EXPECT_TRUE(instance.owner().remove_if_unused());
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
}

TEST(InstanceOwner, an_instance_that_cannot_be_made_says_why_and_leaves_nothing) {
  const std::string name = TestInstance::unique_name();
  const auto owner = InstanceOwner::take(name, {.mode = 0660, .group = "no-such-group-here"});
  ASSERT_FALSE(owner);
  EXPECT_EQ(owner.error().id, "shm.group");
  EXPECT_TRUE(shared_memory_of(name).empty());
}

// What a daemon's start meets when another program removes or makes the instance just before one of its steps.
class Start : public testing::Test {
 protected:
  ~Start() override { test::remove_shared_memory(name_); }
  // `before`: called with how often the control segment has been opened, this one included, just before that.
  bool take(const std::function<int(int)>& before) {
    return with_watched_calls(
        {SYS_openat}, [&](const Call& call) { return call.path() == file_ ? before(++opened_) : 0; },
        [&] { owner_.emplace(InstanceOwner::take(name_, {.mode = 0600})); });
  }
  std::string name_ = TestInstance::unique_name();
  std::string file_ = "/dev/shm" + control_segment_name(name_);
  int opened_ = 0;
  std::optional<Result<InstanceOwner>> owner_;
};

TEST_F(Start, goes_on_when_the_directory_is_removed_between_its_making_and_the_lock) {
  // Opened first to look, then as our own, then for the lock.
  const bool watched = take([&](int opening) {
    if (opening == 3) Segment::unlink(control_segment_name(name_));
    return 0;
  });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  ASSERT_TRUE(owner_->ok()) << owner_->error().text();
  EXPECT_FALSE((*owner_)->adopted());
  EXPECT_EQ(shared_memory_of(name_).size(), 1U);
  EXPECT_EQ(InstanceOwner::take(name_, {}).error().id, "instance.taken") << "what it has is what others find";
}

TEST_F(Start, does_not_take_the_lock_of_a_directory_that_has_lost_its_name_for_the_instance) {
  bool removed = false;
  const bool watched = with_watched_calls(
      {SYS_fcntl},
      [&](const Call& call) {
        const bool locks = call.arguments[1] == F_OFD_SETLK;
        if (locks && !std::exchange(removed, true)) Segment::unlink(control_segment_name(name_));
        return 0;
      },
      [&] { owner_.emplace(InstanceOwner::take(name_, {.mode = 0600})); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  ASSERT_TRUE(removed);
  ASSERT_TRUE(owner_->ok()) << owner_->error().text();
  EXPECT_EQ(InstanceOwner::take(name_, {}).error().id, "instance.taken");
}

TEST_F(Start, gives_up_after_ten_removals_and_says_that_somebody_else_is_at_work) {
  const bool watched = take([&](int) {
    Segment::unlink(control_segment_name(name_));
    return 0;
  });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  ASSERT_FALSE(owner_->ok());
  EXPECT_EQ(owner_->error().id, "instance.unstable");
  EXPECT_TRUE(shared_memory_of(name_).empty());
}

TEST_F(Start, without_a_descriptor_for_the_lock_is_refused_and_the_next_one_succeeds) {
  const bool watched = take([](int opening) { return opening == 3 ? EMFILE : 0; });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  ASSERT_FALSE(owner_->ok());
  EXPECT_EQ(owner_->error().id, "shm.cannot-open");
  EXPECT_NE(owner_->error().what.find("Too many open files"), std::string::npos) << owner_->error().text();
  EXPECT_TRUE(must(InstanceOwner::take(name_, {})).adopted());
}

TEST(InstanceOwner, keeps_the_instance_while_somebody_is_just_attaching) {
  TestInstance instance;
  const LockFile newcomer = must(LockFile::open(control_segment_name(instance.name())));
  ASSERT_TRUE(newcomer.try_lock_shared(kGateByte));
  EXPECT_FALSE(instance.owner().remove_if_unused());
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  newcomer.unlock(kGateByte);
  EXPECT_TRUE(instance.owner().remove_if_unused());
}

}  // namespace
}  // namespace peaknet::shm
