#include "base/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/child.hpp"

namespace peaknet {
namespace {

using testing::MatchesRegex;

// What a process writes to its stderr when it logs; with `journal` its stderr is what JOURNAL_STREAM names.
std::string logged(const std::string& level, bool journal) {
  const std::string file = testing::TempDir() + "peaknet_log_test." + std::to_string(::getpid());
  auto child = test::Child::run([&] {
    const int fd = ::open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ::dup2(fd, STDERR_FILENO);
    struct stat mine {};
    ::fstat(fd, &mine);
    if (journal) {
      ::setenv("JOURNAL_STREAM", (std::to_string(mine.st_dev) + ":" + std::to_string(mine.st_ino)).c_str(), 1);
    } else {
      ::setenv("JOURNAL_STREAM", "1:1", 1);  // the journal's stream of a parent, not ours
    }
    set_up_log("peaknetd", level, "/tmp/no such journal");
    spdlog::debug("details");
    spdlog::info("run {} has begun", "0217");
    spdlog::error("no model");
    return 0;
  });
  child.wait();
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  ::unlink(file.c_str());
  return text;
}

TEST(Log, a_line_has_time_level_program_and_message) {
  const std::string time = "[0-9-]+T[0-9:]+\\.[0-9]+Z ";
  EXPECT_THAT(logged("info", false),
              MatchesRegex(time + "info  peaknetd: run 0217 has begun\n" + time + "error peaknetd: no model\n"));
}

TEST(Log, the_journal_gets_priorities_and_no_time) {
  EXPECT_EQ(logged("info", true), "<6>run 0217 has begun\n<3>no model\n");
}

TEST(Log, the_level_decides_what_is_written) {
  EXPECT_EQ(logged("debug", true), "<7>details\n<6>run 0217 has begun\n<3>no model\n");
  EXPECT_EQ(logged("error", true), "<3>no model\n");
  EXPECT_EQ(logged("no such level", true), "<6>run 0217 has begun\n<3>no model\n");
}

}  // namespace
}  // namespace peaknet
