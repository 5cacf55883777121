// Disks that refuse: the writer holds, says so, loses nothing, and goes on by itself.
#include <gtest/gtest.h>

#include <fstream>

#include "ctl/files/audit.hpp"
#include "cxi/posix_file.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/full_disks.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/disk_note.hpp"

namespace peaknet::writer {
namespace {

using shm::Counter;
using test::eventually;

// What the writer of the instance says of itself.
std::string note(test::Stage& stage) {
  for (const auto& record : stage.instance().layout().participants) {
    if (record.role.load() == shm::Role::writer && record.presence.load() == shm::Presence::attached)
      return record.note.load();
  }
  return "";
}

class DiskTest : public ::testing::Test {
 protected:
  static constexpr shm::Geometry kFrames{16, 1, 256, 256, PixelType::uint16};  // 128 KiB each
  test::Stage stage_{kFrames};

  void expect_each_once(const std::filesystem::path& folder, const std::filesystem::path& accounting,
                        std::uint64_t frames) {
    const auto events = test::events_in(folder, stage_.geometry());
    EXPECT_EQ(events.size(), frames);
    for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
    EXPECT_EQ(stage_.instance().total(Counter::written), frames);
    EXPECT_BALANCED(stage_.instance());
    EXPECT_EQ(audit_problems_of({folder, accounting}), "");
  }
  // Files that were moved to make room are in another folder than the counters.
  static std::string audit_problems_of(const std::vector<std::filesystem::path>& folders) {
    std::string text;
    for (const auto& problem : test::must(audit_folders(folders)).problems) text += problem.text() + "\n";
    return text;
  }
};

TEST_F(DiskTest, OnAFullDiskItHoldsAndGoesOnWhenThereIsSpace) {
  const test::SmallDisk disk(12 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  const auto ballast = disk.path() / "ballast";
  test::write_all(ballast, std::vector<std::byte>(8 << 20));
  auto settings = stage_.settings(disk.path());
  settings.output.events_per_file = 100;
  test::WriterThread writer(settings);
  std::uint64_t number = 0;
  while (stage_.feed({.number = number}, std::chrono::milliseconds(1000))) {
    ++number;
    ASSERT_LT(number, 80U) << "the pool did not fill";
  }
  EXPECT_TRUE(eventually([&] { return note(stage_).starts_with("WAITING FOR DISK:"); })) << note(stage_);
  EXPECT_NE(note(stage_).find("disk-full"), std::string::npos) << note(stage_);
  EXPECT_GT(test::finished_files(disk.path()).size(), 0U) << "what was in the file has been finished";
  const auto before = stage_.instance().total(Counter::written);
  EXPECT_LT(before, number);
  std::filesystem::remove(ballast);
  EXPECT_TRUE(eventually([&] { return stage_.instance().total(Counter::written) == number; }));
  ASSERT_TRUE(stage_.close_files());
  EXPECT_FALSE(note(stage_).starts_with("WAITING FOR DISK:")) << note(stage_);
  writer.stop();
  expect_each_once(disk.path(), disk.path(), number);
}

TEST(DiskNote, SaysWhatToDoAndTheIdHoweverLongThePathIs) {
  const Error full{"output.disk-full", "cannot reserve space in /" + std::string(400, 'p') + ": no space left", "",
                   "free space on that file system"};
  const std::string said = note_of_waiting(full);
  EXPECT_LE(said.size(), 255U);
  EXPECT_TRUE(said.starts_with("WAITING FOR DISK: cannot reserve space in /p")) << said;
  EXPECT_NE(said.find("pp..pp"), std::string::npos) << said;
  EXPECT_TRUE(said.ends_with(": no space left. Try: free space on that file system [output.disk-full]")) << said;
}

TEST(DiskNote, DoesNotBlameTheDiskForALimitOfTheProcess) {
  const Error limit = disk_error("write", "/data/a.part", EFBIG);
  EXPECT_EQ(limit.id, "output.file-too-large");
  EXPECT_TRUE(note_of_waiting(limit).starts_with("WAITING: cannot write /data/a.part: File too large"));
}

TEST(DiskNote, DoesNotBlameTheDiskForAGeometryAndKeepsWhatIsWrongWithIt) {
  const Error misfit{
      "geometry.does-not-fit",
      "/data/" + std::string(150, 'g') +
          ".geom does not fit frames of 2 panels of 48 x 64: its panels have 3072 of a frame's 6144 pixels",
      "", "name the geometry file of this detector in output.geometry"};
  const std::string said = note_of_waiting(misfit);
  EXPECT_TRUE(said.starts_with("WAITING: /data/g")) << said;
  EXPECT_NE(said.find("geom does not fit frames of 2 panels"), std::string::npos) << said;
}

TEST_F(DiskTest, FilledAndFreedManyTimesNothingIsLostOrTwice) { test::expect_to_survive_full_disks(12, 1); }

TEST_F(DiskTest, AFolderThatIsMovedAwayAndBackStopsItOnlyForAWhile) {
  test::TempFolder folder;
  const auto inside = folder.path() / "out";
  test::WriterThread writer(stage_.settings(inside));
  std::uint64_t number = 0;
  for (; number < 15; ++number) ASSERT_TRUE(stage_.feed({.number = number}));
  ASSERT_TRUE(eventually([&] { return stage_.instance().total(Counter::written) == 15; }));
  std::filesystem::rename(inside, folder.path() / "elsewhere");
  while (stage_.feed({.number = number}, std::chrono::milliseconds(500)) && number < 60) ++number;
  EXPECT_TRUE(eventually([&] { return note(stage_).find("folder-missing") != std::string::npos; })) << note(stage_);
  std::filesystem::rename(folder.path() / "elsewhere", inside);
  EXPECT_TRUE(eventually([&] { return stage_.instance().total(Counter::written) == number; }));
  ASSERT_TRUE(stage_.close_files());
  writer.stop();
  expect_each_once(inside, inside, number);
}

}  // namespace
}  // namespace peaknet::writer
