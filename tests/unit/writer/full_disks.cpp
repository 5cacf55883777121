#include "tests/unit/writer/full_disks.hpp"

#include <gtest/gtest.h>

#include <random>

#include "ctl/files/audit.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::test {

using shm::Counter;

void expect_to_survive_full_disks(int times, unsigned seed) {
  constexpr shm::Geometry kFrames{16, 1, 256, 256, PixelType::uint16};  // 128 KiB each
  const SmallDisk disk(16 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  Stage stage(kFrames);
  TempFolder archive;  // files that were moved to make room: the audit is told of both folders
  auto settings = stage.settings(disk.path());
  settings.output.events_per_file = 9;
  WriterThread writer(settings);
  std::mt19937 random(seed);
  const auto ballast = disk.path() / "ballast";
  const auto make_room = [&](bool some_ballast) {
    std::filesystem::remove(ballast);
    for (const auto& file : finished_files(disk.path())) {
      std::filesystem::copy(file, archive.path() / file.filename());
      std::filesystem::remove(file);
    }
    // The disk is full sooner or later then, by pages, and so in the middle of something else.
    if (some_ballast) write_all(ballast, std::vector<std::byte>(random() % 2048 * 4096));
  };
  std::uint64_t number = 0;
  for (int full = 0; full < times;) {
    if (stage.feed({.number = number}, std::chrono::milliseconds(150))) {
      ++number;
      continue;
    }
    ++full;
    make_room(true);
  }
  ASSERT_TRUE(eventually([&] {
    make_room(false);
    return stage.instance().total(Counter::written) == number;
  }));
  ASSERT_TRUE(stage.close_files());
  writer.stop();
  make_room(false);
  const auto events = events_in(archive.path(), stage.geometry());
  EXPECT_EQ(events.size(), number);
  for (const auto& [name, count] : events) EXPECT_EQ(count, 1) << name;
  EXPECT_BALANCED(stage.instance());
  for (const auto& problem : must(writer::audit_folders({archive.path(), disk.path()})).problems)
    ADD_FAILURE() << problem.text();
  std::printf("full disks: %d; %llu frames, each in one file\n", times, static_cast<unsigned long long>(number));
}

}  // namespace peaknet::test
