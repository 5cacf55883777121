#include "base/small_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/special_file.hpp"

namespace peaknet {
namespace {

class SmallFileTest : public ::testing::Test {
 protected:
  SmallFileTest() { std::filesystem::create_directories(folder_); }
  ~SmallFileTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }

 private:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("peaknet_small_file_" + std::to_string(::getpid()));
};

TEST_F(SmallFileTest, is_read_whole) {
  const auto read = read_small_file(file("a", "instance: mfx\n"), 100);
  EXPECT_EQ(read.text, "instance: mfx\n");
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(read_small_file("/dev/null", 100).problem, "");
}

TEST_F(SmallFileTest, a_larger_one_is_refused_and_not_read) {
  EXPECT_EQ(read_small_file(file("a", std::string(100, 'x')), 100).problem, "");
  EXPECT_EQ(read_small_file(file("a", std::string(101, 'x')), 100).problem, "it has more than 100 B");
  EXPECT_EQ(read_small_file("/dev/zero", 1024).problem, "it has more than 1.00 KiB");
}

// It would keep a daemon that reads its configuration again for ever.
TEST_F(SmallFileTest, a_pipe_that_nobody_writes_into_is_refused_at_once) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_small_file(path("pipe"), 100).problem, kSpecialFile);
}

TEST_F(SmallFileTest, a_pipe_of_this_process_is_read_to_its_end) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "instance: mfx\n", 14), 14);
  ::close(ends[1]);
  EXPECT_EQ(read_small_file("/dev/fd/" + std::to_string(ends[0]), 100).text, "instance: mfx\n");
  ::close(ends[0]);
}

TEST_F(SmallFileTest, says_what_is_there_instead) {
  EXPECT_EQ(read_small_file(path(""), 100).problem, "it is a folder");
  EXPECT_EQ(read_small_file(path("none"), 100).problem, "No such file or directory");
  std::filesystem::create_symlink("loop", path("loop"));
  EXPECT_EQ(read_small_file(path("loop"), 100).problem, "Too many levels of symbolic links");
}

}  // namespace
}  // namespace peaknet
