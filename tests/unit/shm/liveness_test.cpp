#include "shm/liveness.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include "shm/control_segment.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using test::Call;
using test::Child;
using test::kCannotWatch;
using test::must;
using test::TestInstance;
using test::with_watched_calls;

class Liveness : public testing::Test {
 protected:
  LockFile open() const { return must(LockFile::open(name_)); }
  // The descriptors of this process on the control segment: those of locks, as nothing else keeps one open.
  std::vector<int> descriptors() const {
    std::vector<int> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone) == "/dev/shm" + name_)
        found.push_back(std::stoi(entry.path().filename().string()));
    }
    return found;
  }
  TestInstance instance_{{.with_pool = false}};
  std::string name_ = control_segment_name(instance_.name());
};

TEST_F(Liveness, a_byte_has_one_holder_at_a_time_also_inside_one_process) {
  const LockFile mine = open();
  const LockFile other = open();
  EXPECT_TRUE(mine.try_lock(5));
  EXPECT_TRUE(mine.try_lock(5)) << "asking again for what one has is no conflict";
  EXPECT_FALSE(mine.held_by_other(5));
  EXPECT_FALSE(other.try_lock(5));
  EXPECT_TRUE(other.held_by_other(5));
  EXPECT_TRUE(other.try_lock(6)) << "the neighbour is free";
  mine.unlock(5);
  EXPECT_TRUE(other.try_lock(5));
}

TEST_F(Liveness, a_shared_lock_keeps_out_the_exclusive_one_alone) {
  const LockFile first = open();
  const LockFile second = open();
  const LockFile remover = open();
  EXPECT_TRUE(first.try_lock_shared(kGateByte));
  EXPECT_TRUE(second.try_lock_shared(kGateByte));
  EXPECT_FALSE(remover.try_lock(kGateByte));
  first.unlock(kGateByte);
  EXPECT_FALSE(remover.try_lock(kGateByte));
  second.unlock(kGateByte);
  EXPECT_TRUE(remover.try_lock(kGateByte));
  EXPECT_FALSE(first.try_lock_shared(kGateByte));
}

TEST_F(Liveness, a_lock_goes_with_its_holder_however_that_ends) {
  const LockFile observer = open();
  {
    LockFile passing = open();
    EXPECT_TRUE(passing.try_lock(9));
    const LockFile moved = std::move(passing);
    EXPECT_FALSE(observer.try_lock(9)) << "moving keeps it";
  }
  EXPECT_TRUE(observer.try_lock(9));
  observer.unlock(9);
  for (const int signal : {SIGKILL, SIGSEGV, SIGTERM}) {
    auto holder = Child::run([&] {
      const LockFile lock = open();
      if (!lock.try_lock(9)) return 1;
      std::signal(SIGSEGV, SIG_DFL);
      raise(SIGSTOP);
      return 2;
    });
    ASSERT_TRUE(holder.wait_stopped());
    EXPECT_TRUE(observer.held_by_other(9)) << "stopped is alive";
    holder.signal(signal);
    holder.go_on();
    EXPECT_EQ(holder.wait(), test::Exit::signal(signal));
    EXPECT_TRUE(observer.try_lock(9)) << "free as soon as the process has ended";
    observer.unlock(9);
  }
}

TEST_F(Liveness, a_forked_child_does_not_keep_its_dead_parent_alive) {
  const LockFile observer = open();
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  auto parent = Child::run([&] {
    const LockFile lock = open();
    if (!lock.try_lock(9)) return 1;
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
  ASSERT_EQ(::kill(grandchild, 0), 0);
  EXPECT_TRUE(test::eventually([&] { return observer.held_by_other(9); }));
  parent.kill();
  EXPECT_TRUE(test::eventually([&] { return !observer.held_by_other(9); }, std::chrono::seconds(2)))
      << "the child may close its copy a moment after the fork";
  ::kill(grandchild, SIGKILL);
  close(report[0]);
  close(report[1]);
}

TEST_F(Liveness, a_program_that_a_member_started_does_not_keep_its_dead_starter_alive) {
  const LockFile observer = open();
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  auto starter = Child::run([&] {
    const LockFile lock = open();
    if (!lock.try_lock(9)) return 1;
    pid_t program = 0;
    char name[] = "sleep", seconds[] = "1000";
    char* arguments[] = {name, seconds, nullptr};
    if (posix_spawnp(&program, name, nullptr, nullptr, arguments, environ) != 0) return 2;  // vfork and exec
    if (write(report[1], &program, sizeof program) < 0) return 3;
    pause();
    return 4;
  });
  pid_t program = 0;
  ASSERT_EQ(read(report[0], &program, sizeof program), static_cast<ssize_t>(sizeof program));
  EXPECT_TRUE(observer.held_by_other(9));
  starter.kill();
  EXPECT_FALSE(observer.held_by_other(9));
  EXPECT_EQ(::kill(program, 0), 0) << "the program is to be alive while we look";
  ::kill(program, SIGKILL);
  close(report[0]);
  close(report[1]);
}

// As from a container that shares /dev/shm: pids mean nothing between the two, and it is pid 1 where it lives.
TEST_F(Liveness, one_in_another_pid_namespace_is_seen_alive_and_dead) {
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  auto outside = Child::run([&] {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return 77;
    const pid_t inside = fork();
    if (inside == 0) {
      const LockFile lock = open();
      if (!lock.try_lock(9) || write(report[1], "x", 1) != 1) _exit(1);
      pause();
      _exit(2);
    }
    int status = 0;
    if (waitpid(inside, &status, WUNTRACED) != inside) return 1;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 2;
  });
  close(report[1]);
  char ready = 0;
  if (read(report[0], &ready, 1) != 1) {
    ASSERT_EQ(outside.wait(), test::Exit::code(77));
    GTEST_SKIP() << "this user may not make a pid namespace";
  }
  const LockFile observer = open();
  EXPECT_TRUE(observer.held_by_other(9));
  pid_t inside = 0;
  std::ifstream children("/proc/" + std::to_string(outside.pid()) + "/task/" + std::to_string(outside.pid()) +
                         "/children");
  ASSERT_TRUE(children >> inside);
  ::kill(inside, SIGKILL);
  EXPECT_EQ(outside.wait(), test::Exit::code(0));
  EXPECT_FALSE(observer.held_by_other(9));
  close(report[0]);
}

TEST_F(Liveness, an_inherited_lock_is_inert_in_a_forked_child) {
  auto lock = std::make_unique<LockFile>(open());
  ASSERT_TRUE(lock->try_lock(9));
  auto child = Child::run([&] {
    // The child makes a lock of its own, which may get the number of the closed descriptor, and then drops the
    // inherited one.
    const LockFile own = open();
    if (!own.held_by_other(9)) return 1;  // the parent holds it
    if (!own.try_lock(10)) return 2;
    // Must not act through somebody else's descriptor.
    if (lock->try_lock(11) || lock->try_lock_shared(11) || lock->try_lock_all() || lock->wait_lock_shared(11)) return 3;
    if (lock->still_named(name_)) return 6;
    lock->unlock(9);
    if (!own.held_by_other(9) || !lock->held_by_other(9)) return 5;
    lock.reset();
    const LockFile observer = open();
    return observer.held_by_other(10) ? 0 : 4;
  });
  EXPECT_EQ(child.wait(), test::Exit::code(0));
  EXPECT_TRUE(open().held_by_other(9)) << "the parent is not concerned";
}

TEST_F(Liveness, knows_whether_its_object_still_has_the_name) {
  const LockFile lock = open();
  EXPECT_TRUE(lock.still_named(name_));
  Segment::unlink(name_);
  EXPECT_FALSE(lock.still_named(name_));
  instance_.drop_owner();
  instance_.take_owner();
  EXPECT_FALSE(lock.still_named(name_)) << "another object of that name";
}

TEST_F(Liveness, of_nothing_is_an_error_with_a_remedy) {
  auto lock = LockFile::open("/peaknet.there-is-none-such");
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().id, "shm.absent");
}

TEST_F(Liveness, one_whose_descriptor_somebody_closed_locks_nothing_and_believes_everybody_alive) {
  instance_.drop_owner();  // the lock of the daemon goes, its descriptor with it
  const LockFile lock = open();
  const auto mine = descriptors();
  ASSERT_EQ(mine.size(), 1U);
  ::close(mine[0]);
  EXPECT_FALSE(lock.try_lock(9));
  EXPECT_FALSE(lock.wait_lock_shared(9));
  EXPECT_TRUE(lock.held_by_other(9)) << "in doubt nobody is declared dead";
  EXPECT_FALSE(lock.still_named(name_));
  EXPECT_FALSE(open().held_by_other(9));
}

TEST_F(Liveness, a_signal_does_not_end_the_wait_for_a_lock) {
  const LockFile lock = open();
  int asked = 0;
  const bool watched = with_watched_calls(
      {SYS_fcntl}, [&](const Call&) { return ++asked <= 3 ? EINTR : 0; },
      [&] { EXPECT_TRUE(lock.wait_lock_shared(kGateByte)); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(asked, 4);
  EXPECT_FALSE(open().try_lock(kGateByte)) << "and then it is there";
}

TEST_F(Liveness, another_object_of_the_same_number_on_another_device_does_not_have_the_name) {
  const LockFile lock = open();
  Segment::unlink(name_);
  std::filesystem::create_symlink("/proc/self/status", "/dev/shm" + name_);  // as to a folder of its own
  EXPECT_FALSE(lock.still_named(name_));
}

TEST_F(Liveness, more_locks_than_a_fork_can_keep_track_of_work_and_leave_no_descriptor) {
  constexpr std::size_t kMany = 600;
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < kMany + 100) GTEST_SKIP() << "this process may open " << limit.rlim_cur << " files";
  const auto before = descriptors().size();
  {
    std::vector<LockFile> locks;
    for (std::size_t i = 0; i < kMany; ++i) {
      locks.push_back(open());
      ASSERT_TRUE(locks.back().try_lock(static_cast<std::uint32_t>(i + 1))) << i;
    }
    EXPECT_EQ(descriptors().size(), before + kMany);
    EXPECT_TRUE(open().held_by_other(kMany));
  }
  EXPECT_EQ(descriptors().size(), before);
  EXPECT_FALSE(open().held_by_other(kMany));
}

}  // namespace
}  // namespace peaknet::shm
