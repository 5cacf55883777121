#include "base/process_limits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

namespace peaknet {
namespace {

using ::testing::HasSubstr;

// What `body` returned in a process of its own, whose limits may be spoiled.
std::string in_a_child(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    const std::string said = body();
    static_cast<void>(!::write(ends[1], said.data(), said.size()));
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return said;
}

// Root is above the limit of processes, so the child is nobody that this machine knows.
void limit(__rlimit_resource_t resource, rlim_t value) {
  if (::getuid() == 0 && ::setresuid(64321, 64321, 64321) != 0) ::_exit(1);
  const rlimit most{value, value};
  if (::setrlimit(resource, &most) != 0) ::_exit(1);
}

std::string text(const Status& status) { return status ? "there is room" : status.error().text(); }

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST(ProcessLimits, what_is_there_is_given_back) {
  const std::size_t before = open_descriptors();
  EXPECT_TRUE(room_for(4, 16));
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ProcessLimits, a_limit_of_processes_is_named_with_its_number_and_the_remedy) {
  const std::string said = in_a_child([] {
    limit(RLIMIT_NPROC, 1);
    return text(room_for(1, 0));
  });
  EXPECT_THAT(said, HasSubstr("RLIMIT_NPROC: this user may have 1 "));
  EXPECT_THAT(said, HasSubstr("ulimit -u"));
  EXPECT_THAT(said, HasSubstr("[process.no-threads]"));
}

TEST(ProcessLimits, a_limit_of_descriptors_is_named_with_its_number_and_the_remedy) {
  const std::string said = in_a_child([] {
    limit(RLIMIT_NOFILE, 12);
    return text(room_for(0, 16));
  });
  EXPECT_THAT(said, HasSubstr("RLIMIT_NOFILE: this program may have 12"));
  EXPECT_THAT(said, HasSubstr("ulimit -n"));
  EXPECT_THAT(said, HasSubstr("[process.no-descriptors]"));
}

TEST(ProcessLimits, a_thread_that_could_not_be_made_later_says_the_same) {
  const Fatal fatal = unexpected(std::system_error(EAGAIN, std::generic_category()));
  EXPECT_EQ(fatal.error().id, "process.no-threads");
  EXPECT_EQ(fatal.exit_code(), kExitSystem);
  EXPECT_EQ(unexpected(std::system_error(EMFILE, std::system_category())).error().id, "process.no-descriptors");
}

TEST(ProcessLimits, memory_that_is_not_there_names_the_limit_of_the_address_space) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory cannot keep to a limit: it ends the program";
#endif
  const std::string said = in_a_child([] {
    limit(RLIMIT_AS, rlim_t{1} << 40U);
    return unexpected(std::bad_alloc()).error().text();
  });
  EXPECT_THAT(said, HasSubstr("RLIMIT_AS: 1.00 TiB"));
  EXPECT_THAT(said, HasSubstr("[process.no-memory]"));
}

TEST(ProcessLimits, a_folder_that_was_removed_under_a_program_is_named) {
  const std::string said = in_a_child([]() -> std::string {
    std::string folder = (std::filesystem::temp_directory_path() / "peaknet_gone_XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr || ::chdir(folder.c_str()) != 0 || ::rmdir(folder.c_str()) != 0) return "?";
    try {
      return std::filesystem::absolute("mfx.yaml").string();
    } catch (const std::exception& failure) {
      return unexpected(failure).error().text();
    }
  });
  EXPECT_THAT(said, HasSubstr("cd to a folder that is there [process.no-folder]"));
}

TEST(ProcessLimits, what_nobody_foresaw_keeps_its_words) {
  const Fatal fatal = unexpected(std::runtime_error("the sky fell"));
  EXPECT_EQ(fatal.error().id, "internal");
  EXPECT_THAT(fatal.error().what, HasSubstr("the sky fell"));
  EXPECT_EQ(fatal.exit_code(), kExitSoftware);
}

}  // namespace
}  // namespace peaknet
