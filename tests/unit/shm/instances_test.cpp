#include "shm/instances.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::must;
using test::shared_memory_of;
using test::TestInstance;

InstanceSummary summary_of(const std::string& name) {
  for (auto& found : list_instances()) {
    if (found.name == name) return found;
  }
  return {};
}

TEST(Instances, are_listed_with_who_is_there_and_what_waits) {
  TestInstance instance;
  auto producer = instance.producer();
  must(must(producer->claim(1s)).commit());
  const auto found = summary_of(instance.name());
  EXPECT_EQ(found.daemon, true);
  EXPECT_EQ(found.attached, 1U);
  EXPECT_EQ(found.frames, 1U);
  EXPECT_EQ(found.objects, shared_memory_of(instance.name()));
  EXPECT_GT(found.bytes, instance.pool().payload().size());
  EXPECT_EQ(found.problem, "");
  instance.drop_owner();
  EXPECT_EQ(summary_of(instance.name()).daemon, false);
}

TEST(Instances, a_dead_participant_is_nobody) {
  TestInstance instance;
  auto producer = test::Child::run([&] {
    auto attached = instance.producer();
    raise(SIGSTOP);
    return 0;
  });
  ASSERT_TRUE(producer.wait_stopped());
  EXPECT_EQ(summary_of(instance.name()).attached, 1U);
  producer.kill();
  EXPECT_EQ(summary_of(instance.name()).attached, 0U);
}

TEST(Instances, one_that_a_daemon_holds_is_not_removed) {
  TestInstance instance;
  EXPECT_EQ(remove_instance(instance.name(), true).error().id, "instance.taken");
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
}

TEST(Instances, one_that_somebody_is_attached_to_is_not_removed_whatever_was_said) {
  TestInstance instance;
  auto producer = instance.producer();
  instance.drop_owner();
  const auto removed = remove_instance(instance.name(), true);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().id, "instance.in-use");
  EXPECT_NE(removed.error().what.find("1 live participants"), std::string::npos) << removed.error().what;
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  must(must(producer->claim(1s)).commit());  // and goes on
}

TEST(Instances, waiting_frames_are_given_up_only_by_those_who_say_so) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  instance.drop_owner();
  const auto removed = remove_instance(instance.name(), false);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().id, "instance.in-use");
  EXPECT_NE(removed.error().what.find("1 frames"), std::string::npos) << removed.error().what;
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  must(remove_instance(instance.name(), true));
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
}

TEST(Instances, what_a_crashed_one_left_is_removed) {
  TestInstance instance;
  instance.drop_owner();
  must(remove_instance(instance.name(), false));
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
  EXPECT_EQ(remove_instance(instance.name(), false).error().id, "shm.absent");
}

TEST(Instances, pools_without_a_directory_are_removed_too) {
  TestInstance instance;
  instance.drop_owner();
  ASSERT_TRUE(Segment::unlink(control_segment_name(instance.name())));
  EXPECT_NE(summary_of(instance.name()).problem, "");
  must(remove_instance(instance.name(), false));
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
}

TEST(Instances, one_of_another_version_is_removed_when_its_programs_are_gone) {
  TestInstance instance;
  auto producer = instance.producer();
  instance.drop_owner();
  instance.layout().header.layout_hash ^= 1;
  EXPECT_NE(summary_of(instance.name()).problem.find("layout"), std::string::npos);
  EXPECT_EQ(remove_instance(instance.name(), true).error().id, "instance.in-use") << "a producer of it lives";
  producer.reset();
  EXPECT_EQ(remove_instance(instance.name(), false).error().id, "instance.in-use") << "there may be frames in it";
  must(remove_instance(instance.name(), true));
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
}

TEST(Instances, what_is_not_ours_is_left_alone) {
  TestInstance instance;
  instance.drop_owner();
  instance.layout().header.magic = 0x1234;
  EXPECT_EQ(remove_instance(instance.name(), true).error().id, "directory.foreign");
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  EXPECT_EQ(remove_instance("../etc", true).error().id, "shm.absent");
}

TEST(Instances, one_whose_memory_is_gone_with_its_folder_is_listed_and_removed) {
  TestInstance instance;
  must(must(instance.producer()->claim(1s)).commit());
  instance.drop_owner();
  const std::string pool = "/dev/shm" + pool_name(instance.name(), 1);
  std::filesystem::remove(pool);
  std::filesystem::create_symlink("/nowhere/pool", pool);
  const auto found = summary_of(instance.name());
  EXPECT_EQ(found.objects.size(), 2U);
  EXPECT_GT(found.bytes, 0U) << "the control segment's";
  EXPECT_EQ(found.frames, 0U);
  must(remove_instance(instance.name(), false));
  EXPECT_TRUE(shared_memory_of(instance.name()).empty());
}

TEST(Instances, who_may_only_read_sees_who_is_there_but_not_whether_they_live) {
  TestInstance instance;
  auto producer = instance.producer();
  for (const auto& file : shared_memory_of(instance.name())) chmod(("/dev/shm/" + file).c_str(), 0444);
  auto reader = test::Child::run([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return 77;
    const auto found = summary_of(instance.name());
    return !found.daemon && found.attached == 1 && found.problem.empty() ? 0 : 1;
  });
  const auto exit = reader.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "this user may not become another";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST(Instances, what_keeps_one_is_said_of_it_and_not_of_its_neighbours) {
  TestInstance first, second;
  auto producer = second.producer();
  auto neighbour = first.producer();
  for (TestInstance* instance : {&first, &second}) {
    instance->drop_owner();
    const auto removed = remove_instance(instance->name(), true);
    ASSERT_FALSE(removed);
    EXPECT_NE(removed.error().what.find("'" + instance->name() + "'"), std::string::npos) << removed.error().what;
  }
}

TEST(Instances, one_of_another_version_whose_locks_cannot_be_asked_is_kept) {
  TestInstance instance;
  instance.drop_owner();
  instance.layout().header.layout_hash ^= 1;
  const std::string file = "/dev/shm" + control_segment_name(instance.name());
  int opened = 0;  // to list it, to look at its version, for its locks
  const bool watched = test::with_watched_calls(
      {SYS_openat}, [&](const test::Call& call) { return call.path() == file && ++opened == 3 ? EMFILE : 0; },
      [&] { EXPECT_EQ(remove_instance(instance.name(), true).error().id, "shm.cannot-open"); });
  if (!watched) GTEST_SKIP() << test::kCannotWatch;
  EXPECT_EQ(shared_memory_of(instance.name()).size(), 2U);
  must(remove_instance(instance.name(), true));
}

}  // namespace
}  // namespace peaknet::shm
