// What a replay promises beyond its frames: the same run replayed twice gives the same files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

// Everything in the CXI files of a run of `feed` in a fresh instance, but for what says when and where it was made.
std::string content_of(const std::vector<std::string>& feed, const std::filesystem::path& recording) {
  System system({.model = "builtin:threshold=150", .min_num_peak = 1});
  system.start_daemon();
  system.start_writer();
  auto fed = system.feed(feed);
  EXPECT_EQ(fed.wait(), Exit::code(0)) << fed.err();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
  std::filesystem::remove_all(recording);
  std::filesystem::create_directories(recording);
  std::vector<std::string> command{"/usr/bin/python3", source_dir() + "/tests/integration/cxi_content.py"};
  for (const auto& file : system.files()) {
    command.push_back(file.string());
    std::filesystem::copy(file, recording);
  }
  auto content = Child::start(command);
  EXPECT_EQ(content.wait(), Exit::code(0)) << content.err();
  return content.out();
}

TEST(Replay, TheSameRunReplayedTwiceGivesTheSameContent) {
  if (Child::start({"/usr/bin/python3", "-c", "import h5py"}).wait() != Exit::code(0)) GTEST_SKIP() << "no h5py";
  const auto base = std::filesystem::temp_directory_path() / ("peaknet-replay-" + std::to_string(getpid()));
  const auto first_files = base / "first", again_files = base / "again";
  // The run: simulated once, its CXI files kept. Replayed from those, twice.
  const auto simulated =
      content_of({"simulate", "--frames", "120", "--hit-fraction", "0.7", "--crystal", "--seed", "11"}, base / "run");
  EXPECT_THAT(simulated, testing::HasSubstr("/entry_1/result_1/peakXPosRaw"));
  const std::vector<std::string> replay{"replay", (base / "run").string(), "--dataset", "/entry_1/data_1/data"};
  const std::string first = content_of(replay, first_files), again = content_of(replay, again_files);
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, again);
  std::filesystem::remove_all(base);
}

}  // namespace
}  // namespace peaknet::test
