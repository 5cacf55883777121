#include "shm/segment.hpp"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "shm/pool.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using test::Call;
using test::Child;
using test::kCannotWatch;
using test::must;
using test::shared_memory_of;
using test::small_frames;
using test::TestInstance;
using test::with_watched_calls;

class SegmentTest : public testing::Test {
 protected:
  ~SegmentTest() override { test::remove_shared_memory(instance_); }
  // One creation, of which the kernel refuses one kind of call. False: it cannot be had here.
  bool create_where(long number, int cause, const SegmentOptions& options, const std::function<void(Error)>& judge) {
    return with_watched_calls(
        {number}, [&](const Call&) { return cause; },
        [&] {
          const auto refused = Segment::create(name_, 10000, options);
          ASSERT_FALSE(refused);
          judge(refused.error());
          EXPECT_TRUE(shared_memory_of(instance_).empty());
        });
  }
  std::string instance_ = TestInstance::unique_name();
  std::string name_ = "/peaknet." + instance_;
};

TEST_F(SegmentTest, appears_only_when_it_is_published) {
  auto segment = must(Segment::create(name_, 10000, {}));
  EXPECT_EQ(Segment::open(name_, Access::read_only, 1).error().id, "shm.absent");
  std::memset(segment.data(), 0x5a, 10000);
  must(segment.publish());
  EXPECT_EQ(shared_memory_of(instance_).size(), 1U) << "the temporary name is gone";
  const auto opened = must(Segment::open(name_, Access::read_only, 10000));
  EXPECT_GE(opened.size(), 10000U) << "whole pages";
  EXPECT_EQ(static_cast<const char*>(opened.data())[9999], 0x5a);
}

TEST_F(SegmentTest, one_that_was_never_published_leaves_nothing) {
  { auto segment = must(Segment::create(name_, 4096, {})); }
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, has_the_mode_that_was_asked_for_whatever_the_umask) {
  const mode_t before = umask(0077);
  auto segment = must(Segment::create(name_, 4096, {.mode = 0660}));
  umask(before);
  must(segment.publish());
  struct stat info {};
  ASSERT_EQ(stat(("/dev/shm" + name_).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0660U);
  EXPECT_GE(static_cast<std::size_t>(info.st_blocks) * 512, 4096U) << "the memory is really reserved";
}

TEST_F(SegmentTest, does_not_replace_what_has_its_name) {
  auto first = must(Segment::create(name_, 4096, {}));
  must(first.publish());
  auto second = must(Segment::create(name_, 8192, {}));
  const Status taken = second.publish();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().id, "shm.exists");
  EXPECT_EQ(must(Segment::open(name_, Access::read_only, 1)).size(), 4096U);
}

TEST_F(SegmentTest, two_that_are_made_at_once_do_not_disturb_each_other) {
  auto first = must(Segment::create(name_, 4096, {}));
  auto second = Segment::create(name_, 8192, {});
  if (second) {
    must(first.publish());
    EXPECT_EQ(second->publish().error().id, "shm.exists");
  } else {
    EXPECT_EQ(second.error().id, "shm.exists");
    must(first.publish());  // the refused one must have left the first alone
  }
  EXPECT_EQ(must(Segment::open(name_, Access::read_only, 1)).size(), 4096U);
}

TEST_F(SegmentTest, larger_than_what_is_free_is_refused_with_both_numbers_and_nothing_is_left) {
  const auto free = shared_memory_free();
  ASSERT_TRUE(free);
  auto segment = Segment::create(name_, *free + (std::size_t{64} << 30), {});
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().id, "shm.no-space");
  EXPECT_NE(segment.error().what.find("GiB but /dev/shm has"), std::string::npos) << segment.error().text();
  EXPECT_NE(segment.error().remedy.find("pool.slots"), std::string::npos);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, one_without_a_name_is_reserved_memory_that_no_other_process_finds) {
  const auto segment = must(Segment::create_nameless("for a test", 10000, {}));
  EXPECT_GE(segment.size(), 10000U) << "whole pages";
  std::memset(segment.data(), 0x5a, segment.size());
  std::ifstream maps("/proc/self/maps");
  std::string mapping;
  for (std::string line; mapping.empty() && std::getline(maps, line);) {
    if (line.find("/dev/shm/#") != std::string::npos) mapping = line;
  }
  EXPECT_NE(mapping.find("(deleted)"), std::string::npos) << "its pages are of /dev/shm, and have no name: " << mapping;
}

TEST_F(SegmentTest, one_without_a_name_is_refused_as_any_other) {
  const auto refused = Segment::create_nameless("for a test", *shared_memory_free() + (std::size_t{64} << 30), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "shm.no-space");
  EXPECT_NE(refused.error().what.find("for a test needs"), std::string::npos) << refused.error().text();
  EXPECT_EQ(Segment::create_nameless("for a test", 4096, {.folder = "/no/such/folder"}).error().id,
            "shm.cannot-create");
  const auto refuse = [](long number, int cause) {
    return with_watched_calls(
        {number}, [&](const Call&) { return cause; },
        [] {
          const auto failed = Segment::create_nameless("for a test", 10000, {});
          ASSERT_FALSE(failed);
          EXPECT_TRUE(failed.error().id == "shm.cannot-create" || failed.error().id == "shm.no-space");
        });
  };
  for (const auto& [number, cause] : {std::pair{SYS_openat, EMFILE}, std::pair{SYS_openat, EOPNOTSUPP},
                                      std::pair{SYS_fallocate, ENOSPC}, std::pair{SYS_ftruncate, EIO}}) {
    if (!refuse(number, cause)) GTEST_SKIP() << kCannotWatch;
  }
}

TEST_F(SegmentTest, a_pool_larger_than_what_is_free_harms_nothing_else) {
  TestInstance other;
  Geometry huge{kMaxSlots, 8, 8192, 8192, PixelType::float32};
  auto pool = Pool::create(other.name(), 2, huge, FullPolicy::block, other.control_segment().uuid(), {});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().id, "shm.no-space") << pool.error().text();
  EXPECT_EQ(shared_memory_of(other.name()).size(), 2U) << "the control segment and the first pool";
  EXPECT_TRUE(other.producer()->claim(std::chrono::seconds(1)));
}

TEST_F(SegmentTest, a_small_dev_shm_that_fills_up_is_an_error_and_not_a_bus_error) {
  auto child = Child::run([&] {
    // A /dev/shm of its own for this process, of 1 MiB; needs root.
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0) {
      return 77;
    }
    {
      auto fits = Segment::create(name_, 600 << 10, {});
      if (!fits || !fits->publish()) return 1;
      auto refused = Segment::create(name_ + ".g1", 600 << 10, {});
      if (refused || refused.error().id != "shm.no-space") return 2;
      if (shared_memory_of(instance_).size() != 1) return 3;
      Segment::unlink(name_);
    }
    return Segment::create(name_ + ".g1", 600 << 10, {}).ok() ? 0 : 4;
  });
  const auto exit = child.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "needs root to mount a small tmpfs";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST_F(SegmentTest, a_failure_in_the_middle_of_the_creation_leaves_nothing) {
  auto child = Child::run([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    auto segment = Segment::create(name_, 2 << 20, {});
    if (segment) return 2;
    std::fprintf(stderr, "%s\n", segment.error().text().c_str());
    return segment.error().id == "shm.cannot-create" && shared_memory_of(instance_).empty() ? 0 : 3;
  });
  EXPECT_EQ(child.wait(), test::Exit::code(0));
}

TEST_F(SegmentTest, an_unknown_group_is_refused_before_anything_is_made) {
  auto segment = Segment::create(name_, 4096, {.mode = 0660, .group = "no-such-group-here"});
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().id, "shm.group");
  EXPECT_NE(segment.error().what.find("no-such-group-here"), std::string::npos);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, the_own_group_by_name_is_accepted) {
  const group* own = getgrgid(getgid());
  if (own == nullptr) GTEST_SKIP() << "this process' group has no name";
  EXPECT_TRUE(Segment::create(name_, 4096, {.mode = 0660, .group = own->gr_name}));
}

TEST_F(SegmentTest, one_that_everybody_may_write_is_not_used) {
  auto segment = must(Segment::create(name_, 4096, {.mode = 0666}));
  must(segment.publish());
  auto opened = Segment::open(name_, Access::read_write, 1);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().id, "shm.world-writable");
}

TEST_F(SegmentTest, a_short_one_is_refused_with_both_sizes) {
  auto segment = must(Segment::create(name_, 4096, {}));
  must(segment.publish());
  auto opened = Segment::open(name_, Access::read_write, 5000);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().id, "shm.too-small");
  EXPECT_NE(opened.error().what.find("4096"), std::string::npos);
  EXPECT_NE(opened.error().what.find("5000"), std::string::npos);
  std::ofstream("/dev/shm" + name_, std::ios::trunc);
  EXPECT_EQ(Segment::open(name_, Access::read_write, 1).error().id, "shm.too-small")
      << "an empty one cannot be mapped at all";
}

TEST_F(SegmentTest, somebody_without_the_right_is_told_what_he_needs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  auto segment = must(Segment::create(name_, 4096, {.mode = 0600}));
  must(segment.publish());
  auto stranger = Child::run([&] {
    if (setgid(65534) != 0 || setuid(65534) != 0) return 77;
    auto opened = Segment::open(name_, Access::read_write, 1);
    return !opened && opened.error().id == "shm.denied" && opened.error().remedy.find("group") != std::string::npos ? 0
                                                                                                                    : 1;
  });
  EXPECT_EQ(stranger.wait(), test::Exit::code(0));
}

TEST_F(SegmentTest, transparent_huge_pages_are_a_wish_that_never_fails) {
  auto segment = must(Segment::create(name_, 4 << 20, {.transparent_huge = true}));
  std::memset(segment.data(), 1, segment.size());
}

TEST_F(SegmentTest, the_memory_may_be_in_a_folder_of_its_own_and_is_found_listed_and_removed_by_the_same_name) {
  char folder[] = "/dev/shm/peaknet-test-XXXXXX";  // any tmpfs will do
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
  };
  {
    auto segment = must(Segment::create(name_, 10000, {.folder = folder}));
    EXPECT_EQ(files(), 1);
    EXPECT_EQ(Segment::open(name_, Access::read_only, 1).error().id, "shm.absent");
    std::memset(segment.data(), 0x5a, 10000);
    must(segment.publish());
  }
  EXPECT_EQ(shared_memory_of(instance_).size(), 1U);
  const auto opened = must(Segment::open(name_, Access::read_write, 10000));
  EXPECT_EQ(static_cast<const char*>(opened.data())[9999], 0x5a);
  EXPECT_TRUE(Segment::unlink(name_));
  EXPECT_EQ(files(), 0) << "the file went with its name";
  { auto never_published = must(Segment::create(name_, 4096, {.folder = folder})); }
  EXPECT_EQ(files(), 0);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
  std::filesystem::remove(folder);
}

TEST_F(SegmentTest, a_folder_that_is_not_there_is_an_error_that_names_it) {
  const auto segment = Segment::create(name_, 4096, {.folder = "/nowhere/huge"});
  ASSERT_FALSE(segment);
  EXPECT_NE(segment.error().what.find("/nowhere/huge"), std::string::npos);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, huge_pages_come_from_a_hugetlbfs_mount_or_the_error_says_what_is_missing) {
  auto child = Child::run([&] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("hugetlbfs", "/mnt", "hugetlbfs", 0, "pagesize=2M") != 0) {
      return 77;
    }
    auto segment = Segment::create(name_, 3 << 20, {.folder = "/mnt"});
    if (!segment) {
      const Error& why = segment.error();
      std::fprintf(stderr, "%s\n", why.text().c_str());
      // A machine without free huge pages.
      return why.id == "shm.no-space" && why.remedy.find("nr_hugepages") != std::string::npos &&
                     shared_memory_of(instance_).empty()
                 ? 0
                 : 1;
    }
    if (segment->size() != 4 << 20 || !segment->publish()) return 2;
    std::memset(segment->data(), 0x5a, segment->size());
    auto opened = Segment::open(name_, Access::read_only, 3 << 20);
    if (!opened || static_cast<const char*>(opened->data())[(3 << 20) - 1] != 0x5a) return 3;
    return Segment::unlink(name_) && std::filesystem::is_empty("/mnt") ? 0 : 4;
  });
  const auto exit = child.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "needs root and a kernel with hugetlbfs";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST_F(SegmentTest, is_bound_to_a_numa_node_or_not_made_at_all) {
  const auto nowhere = Segment::create(name_, 4096, {.numa_node = 999});
  ASSERT_FALSE(nowhere);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
  if (nowhere.error().what.find("Operation not permitted") != std::string::npos) GTEST_SKIP() << "mbind is forbidden";
  EXPECT_EQ(nowhere.error().id, "shm.numa");
  auto segment = must(Segment::create(name_, 4 << 20, {.numa_node = 0}));
  int node = -1;  // the node that the first page really is on
  if (::syscall(SYS_get_mempolicy, &node, nullptr, 0UL, segment.data(), MPOL_F_NODE | MPOL_F_ADDR) == 0) {
    EXPECT_EQ(node, 0);
  }
}

TEST_F(SegmentTest, locked_memory_is_memory_or_a_warning) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "mlock does nothing in a program with a sanitizer";
#endif
  const auto segment = must(Segment::create(name_, 4096, {}));
  must(segment.lock());
  auto child = Child::run([&] {
    const rlimit nothing{0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &nothing) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 77;
    const auto locked = segment.lock();
    return !locked && locked.error().id == "shm.cannot-lock" ? 0 : 1;
  });
  const auto exit = child.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "needs root to become somebody else";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST_F(SegmentTest, memory_that_runs_out_at_the_last_moment_is_no_space_and_anything_else_says_what_it_was) {
  for (const long step : {SYS_ftruncate, SYS_fallocate}) {
    for (const int cause : {ENOSPC, ENOMEM}) {
      const bool watched = create_where(step, cause, {}, [](const Error& error) {
        EXPECT_EQ(error.id, "shm.no-space");
        EXPECT_NE(error.what.find("12.00 KiB but /dev/shm has"), std::string::npos) << error.text();
      });
      if (!watched) GTEST_SKIP() << kCannotWatch;
    }
    create_where(step, EIO, {}, [](const Error& error) {
      EXPECT_EQ(error.id, "shm.cannot-create");
      EXPECT_NE(error.what.find("Input/output error"), std::string::npos) << error.text();
    });
  }
  EXPECT_TRUE(Segment::create(name_, 10000, {}).ok()) << "and with memory it works";
}

TEST_F(SegmentTest, is_made_on_a_kernel_that_populates_nothing_at_once) {
  int asked = 0;
  const bool watched = with_watched_calls(
      {{SYS_madvise, 2, 23}},  // MADV_POPULATE_WRITE
      [&](const Call&) {
        ++asked;
        return EINVAL;
      },
      [&] {
        auto segment = must(Segment::create(name_, 10000, {}));
        std::memset(segment.data(), 0x5a, 10000);
        must(segment.publish());
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(shared_memory_of(instance_).size(), 1U);
}

TEST_F(SegmentTest, signals_that_come_while_memory_is_reserved_do_not_end_the_creation) {
  int interrupted = 0;
  const bool watched = with_watched_calls(
      {SYS_fallocate}, [&](const Call&) { return ++interrupted <= 3 ? EINTR : 0; },
      [&] { must(must(Segment::create(name_, 10000, {})).publish()); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(interrupted, 4);
  struct stat info {};
  ASSERT_EQ(stat(("/dev/shm" + name_).c_str(), &info), 0);
  EXPECT_GE(static_cast<std::size_t>(info.st_blocks) * 512, 10000U) << "the memory is really reserved";
}

TEST_F(SegmentTest, a_program_that_has_no_descriptor_left_makes_and_opens_nothing_and_says_why) {
  const bool watched = create_where(SYS_openat, EMFILE, {}, [](const Error& error) {
    EXPECT_EQ(error.id, "shm.cannot-create");
    EXPECT_EQ(error.untouched, "nothing was created");
  });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  must(must(Segment::create(name_, 4096, {})).publish());
  with_watched_calls(
      {SYS_newfstatat, SYS_fstat},
      [&](const Call& call) { return call.number == SYS_fstat || call.path().empty() ? EIO : 0; },
      [&] {
        const auto opened = Segment::open(name_, Access::read_only, 1);
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().id, "shm.cannot-open");
        EXPECT_NE(opened.error().what.find("to see its size"), std::string::npos);
      });
  EXPECT_TRUE(Segment::open(name_, Access::read_only, 1));
}

TEST_F(SegmentTest, a_name_that_cannot_be_given_leaves_neither_the_object_nor_its_temporary_name) {
  const bool watched = with_watched_calls(
      {SYS_renameat2}, [](const Call&) { return EPERM; },
      [&] {
        auto segment = must(Segment::create(name_, 4096, {}));
        const Status published = segment.publish();
        ASSERT_FALSE(published);
        EXPECT_EQ(published.error().id, "shm.cannot-create");
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, a_folder_that_refuses_the_file_or_its_mode_keeps_neither_file_nor_link) {
  char folder[] = "/dev/shm/peaknet-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const auto refused = [&](long number, int cause, const char* id, const char* why) {
    const bool watched = create_where(number, cause, {.folder = folder}, [&](const Error& error) {
      EXPECT_EQ(error.id, id);
      EXPECT_NE(error.what.find(why), std::string::npos) << error.text();
    });
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    return watched;
  };
#ifdef SYS_symlink
  constexpr long kSymlink = SYS_symlink;
#else
  constexpr long kSymlink = SYS_symlinkat;
#endif
  const bool watched = refused(kSymlink, EROFS, "shm.cannot-create", "Read-only file system") &&
                       refused(SYS_fchmod, EPERM, "shm.cannot-create", "Operation not permitted") &&
                       refused(SYS_openat, EROFS, "shm.cannot-create", "Read-only file system") &&
                       refused(SYS_openat, ENOMEM, "shm.no-space", folder);
  std::filesystem::remove(folder);
  if (!watched) GTEST_SKIP() << kCannotWatch;
}

TEST_F(SegmentTest, a_node_that_no_machine_can_have_is_refused) {
  const auto segment = Segment::create(name_, 4096, {.numa_node = 4096});
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().id, "shm.numa");
  EXPECT_NE(segment.error().what.find("node 4096"), std::string::npos);
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

TEST_F(SegmentTest, a_group_that_one_is_not_in_is_refused_and_nothing_is_left) {
  auto stranger = Child::run([&] {
    if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) return 77;
    const auto segment = Segment::create(name_, 4096, {.group = "root"});
    return !segment && segment.error().id == "shm.group" &&
                   segment.error().what.find("cannot give") != std::string::npos && shared_memory_of(instance_).empty()
               ? 0
               : 1;
  });
  const auto exit = stranger.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "this user may not become another";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST_F(SegmentTest, a_group_with_thousands_of_members_is_found) {
  char file[] = "/tmp/peaknet-groups-XXXXXX";
  const int fd = ::mkstemp(file);
  ASSERT_GE(fd, 0);
  ::close(fd);
  {
    std::ofstream groups(file);
    groups << "beamline:x:" << getgid() << ':';
    for (int i = 0; i < 9999; ++i) groups << "scientist" << i << ',';
    groups << "scientist9999\n";
  }
  auto child = Child::run([&] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount(file, "/etc/group", nullptr, MS_BIND, nullptr) != 0) {
      return 77;
    }
    const auto segment = Segment::create(name_, 4096, {.group = "beamline"});
    if (!segment) std::fprintf(stderr, "%s\n", segment.error().text().c_str());
    return segment ? 0 : 1;
  });
  const auto exit = child.wait();
  ::unlink(file);
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "needs root to put a file in the place of /etc/group";
  EXPECT_EQ(exit, test::Exit::code(0));
}

TEST_F(SegmentTest, groups_that_cannot_be_looked_up_are_not_called_unknown) {
  Error why;
  const bool watched = with_watched_calls(
      {SYS_openat}, [](const Call& call) { return call.path().starts_with("/dev/shm") ? 0 : EMFILE; },
      [&] {
        const auto segment = Segment::create(name_, 4096, {.group = "no-such-group-here"});
        ASSERT_FALSE(segment);
        why = segment.error();
      });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(why.id, "shm.group");
  EXPECT_NE(why.what.find("cannot look up"), std::string::npos) << why.text();
  EXPECT_TRUE(shared_memory_of(instance_).empty());
}

}  // namespace
}  // namespace peaknet::shm
