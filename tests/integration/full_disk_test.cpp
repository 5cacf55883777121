// A file system that fills up under the whole system: the writer holds, an operator sees why in `peaknetctl status`,
// and when there is space again everything goes on by itself and nothing is lost.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/integration/system.hpp"
#include "tests/integration/tmpfs.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

namespace fs = std::filesystem;

TEST(FullDisk, TheWriterHoldsSaysSoInStatusAndGoesOnWhenThereIsSpace) {
  System system({.model = "builtin:threshold=100", .shape = "[1,256,256]", .slots = 16, .min_num_peak = 1});
  const Tmpfs disk(system.output(), 16 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs needs root, or a sandbox that allows it";
  const auto ballast = system.output() / "ballast";
  {
    const std::vector<char> bytes(10 << 20, 'b');
    std::ofstream(ballast).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  system.start_daemon();
  system.start_writer();
  constexpr std::uint64_t kFrames = 100;  // 12.5 MiB of images: too much beside the ballast, little enough without it
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", std::to_string(kFrames), "--hit-fraction", "1"});
  const auto status = [&] { return system.ctl({"status"}).out(); };
  ASSERT_TRUE(
      eventually([&] { return status().find("WAITING FOR DISK: ") != std::string::npos; }, std::chrono::seconds(60)))
      << status();
  const std::string said = status();
  EXPECT_NE(said.find("output.disk-full"), std::string::npos) << said;
  EXPECT_NE(said.find("free space on that file system"), std::string::npos) << said;
  EXPECT_TRUE(system.writer().running());
  EXPECT_TRUE(feed.running()) << "pool.full is block: the producer waits";
  EXPECT_LT(system.frames_in_files().size(), kFrames);

  fs::remove(ballast);
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  EXPECT_EQ(status().find("WAITING FOR DISK: "), std::string::npos) << status();
  const auto frames = system.frames_in_files();
  EXPECT_EQ(frames.size(), kFrames);
  for (const auto& [key, times] : frames) EXPECT_EQ(times, 1) << key.first << " " << key.second;
  EXPECT_TRUE(system.unfinished().empty());
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
}

}  // namespace
}  // namespace peaknet::test
