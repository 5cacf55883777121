#include "base/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
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

std::string read_what_is_there(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (pollfd more{fd, POLLIN, 0}; ::poll(&more, 1, 0) > 0;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::size_t count_of(const std::string& text, const std::string& words) {
  std::size_t count = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
  return count;
}

// The program itself plays the reader: it does not read while it logs more than a pipe holds. Without an end to the
// wait this test does not end either.
TEST(Log, a_reader_that_stands_still_holds_nobody_up_and_is_told_what_it_missed) {
  for (const bool journal : {false, true}) {
    auto child = test::Child::run([&] {
      int ends[2];
      if (::pipe(ends) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0) return 2;
      struct stat mine {};
      ::fstat(STDERR_FILENO, &mine);
      const std::string stream = std::to_string(mine.st_dev) + ":" + std::to_string(mine.st_ino);
      ::setenv("JOURNAL_STREAM", journal ? stream.c_str() : "1:1", 1);
      set_up_log("peaknetd", "info", "/tmp/no such journal");
      constexpr std::size_t kLines = 100;
      for (std::size_t i = 0; i < kLines; ++i) spdlog::info("frame {}", std::string(10'000, 'x'));
      std::string text = read_what_is_there(ends[0]);
      const std::size_t arrived = count_of(text, "xx\n");
      spdlog::info("the reader is back");
      text = read_what_is_there(ends[0]);
      const std::string said =
          std::to_string(kLines - arrived) + " lines of the log were lost while its reader stood still\n";
      std::printf("%s", text.c_str());
      return arrived > 0 && count_of(text, said) == 1 && count_of(text, "the reader is back\n") == 1 &&
                     text.find(said) < text.find("the reader is back")
                 ? 0
                 : 1;
    });
    EXPECT_EQ(child.wait(), test::Exit::code(0)) << child.out();
  }
}

}  // namespace
}  // namespace peaknet
