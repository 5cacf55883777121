// The writer as it runs, in a thread: frames in at Q2, finished files and balanced frame accounting out.
#include "writer/service.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

#include "cxi/run_sums.hpp"
#include "shm/control_segment.hpp"
#include "shm/errors.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/output_folder.hpp"

namespace peaknet::writer {
namespace {

using shm::Counter;
using test::eventually;
using test::Stage;
using test::TempFolder;
using test::WriterThread;

std::size_t finished(const TempFolder& folder) { return test::finished_files(folder.path()).size(); }

// Names that are neither a finished file nor made of finished files.
std::vector<std::string> unfinished(const TempFolder& folder) {
  auto names = folder.names();
  std::erase_if(names, [](const std::string& name) {
    return name.ends_with(".cxi") || name.ends_with(".lst") || name.ends_with(".frames") || name.ends_with(kSumsSuffix);
  });
  return names;
}

TEST(Service, EveryFrameEndsInAFileOrIsCounted) {
  Stage stage;
  TempFolder folder;
  {
    WriterThread writer(stage.settings(folder.path()));
    for (std::uint64_t i = 0; i < 60; ++i) {
      const std::uint32_t peaks = i % 4 == 1 ? 3 : i % 10 == 2 ? 40 : i % 10 == 4 ? 150 : 12;
      ASSERT_TRUE(stage.feed(
          {.number = i, .peaks = peaks, .timestamp = i + 1, .model_error = i % 10 == 6, .skipped = i % 10 == 8}));
    }
    ASSERT_TRUE(stage.close_files());
    EXPECT_EQ(unfinished(folder), std::vector<std::string>{})
        << "files are finished when the writer says so, not when it ends";
    writer.stop();
    EXPECT_EQ(writer.failure(), "");
  }
  const auto accounting = stage.instance().accounting();
  EXPECT_EQ(accounting.total(Counter::filtered), 15U);
  EXPECT_EQ(accounting.total(Counter::failed_mask), 6U);
  EXPECT_EQ(accounting.total(Counter::failed_model), 6U);
  EXPECT_EQ(accounting.total(Counter::dropped_shed), 6U);
  EXPECT_EQ(accounting.total(Counter::written), 27U);
  EXPECT_EQ(accounting.total(Counter::peaks_cut), 60U);
  EXPECT_EQ(accounting.total(Counter::duplicates), 0U);
  EXPECT_EQ(test::audit_problems(folder.path()), "");
  EXPECT_BALANCED(stage.instance());
  const auto events = test::events_in(folder.path(), stage.geometry());
  EXPECT_EQ(events.size(), 27U);
  for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
  for (const auto& file : test::finished_files(folder.path())) {
    const auto failing = test::failing_items(file);
    EXPECT_TRUE(failing.empty() || failing == "skipped") << failing;
  }
}

TEST(Service, WritesPeaksOnlyAndCompressedFiles) {
  for (const bool compressed : {false, true}) {
    Stage stage;
    TempFolder folder;
    auto settings = stage.settings(folder.path());
    if (compressed) settings.output.compression = config::Compression::bitshuffle_lz4;
    if (!compressed) settings.output.images = config::Images::none;
    WriterThread writer(settings);
    for (std::uint64_t i = 0; i < 25; ++i) ASSERT_TRUE(stage.feed({.number = i}));
    ASSERT_TRUE(stage.close_files());
    writer.stop();
    EXPECT_EQ(test::events_in(folder.path(), stage.geometry(), compressed).size(), 25U);
    EXPECT_EQ(finished(folder), 3U);
    EXPECT_BALANCED(stage.instance());
  }
}

TEST(Service, AnEventIsDurableAtOnceWhenNothingElseWaits) {
  Stage stage;
  TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.durable_ms = 60'000;
  WriterThread writer(settings);
  ASSERT_TRUE(stage.feed({.number = 0}));
  EXPECT_TRUE(eventually([&] { return stage.instance().total(Counter::written) == 1; }, std::chrono::seconds(5)));
  EXPECT_EQ(finished(folder), 0U);
}

TEST(Service, AFileIsFinishedAfterItsTimeThoughNoMoreFramesCome) {
  Stage stage;
  TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.max_seconds = 0.2;
  WriterThread writer(settings);
  ASSERT_TRUE(stage.feed({.number = 0}));
  EXPECT_TRUE(eventually([&] { return finished(folder) == 1 && unfinished(folder).empty(); }, std::chrono::seconds(5)));
}

TEST(Service, StoppedItFinishesItsFileAndGivesTheRestBack) {
  Stage stage;
  TempFolder folder;
  {
    WriterThread writer(stage.settings(folder.path()));
    for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(stage.feed({.number = i}));
    ASSERT_TRUE(eventually([&] { return stage.instance().total(Counter::written) >= 1; }));
  }
  EXPECT_EQ(unfinished(folder), std::vector<std::string>{});
  const auto written = stage.instance().total(Counter::written);
  EXPECT_EQ(stage.instance().slots_in(shm::SlotState::done), 5 - written);
  EXPECT_BALANCED(stage.instance());
  WriterThread next(stage.settings(folder.path()));
  ASSERT_TRUE(stage.close_files());
  next.stop();
  EXPECT_EQ(test::events_in(folder.path(), stage.geometry()).size(), 5U);
}

TEST(Service, MovesOverToANewPoolWhenTheOldOneIsEmpty) {
  Stage stage;
  TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.events_per_file = 100;
  WriterThread writer(settings);
  ASSERT_TRUE(stage.await_writers());
  for (std::uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  stage.next_epoch({8, 1, 60, 72, PixelType::uint16});
  for (std::uint64_t i = 6; i < 12; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  ASSERT_TRUE(stage.close_files());
  writer.stop();
  EXPECT_EQ(writer.failure(), "");
  EXPECT_EQ(stage.instance().total(Counter::written), 12U);
  ASSERT_EQ(test::finished_files(folder.path()).size(), 2U) << "a file has one geometry";
}

TEST(Service, WaitsForADaemonThatIsNotThereYet) {
  test::TestInstance instance({.with_pool = false});
  TempFolder folder;
  config::Config settings;
  settings.instance = instance.name();
  settings.output.dir = folder.path();
  WriterThread writer(settings);
  const auto attached = [&] {
    std::size_t count = 0;
    for (const auto& record : instance.layout().participants) {
      count += record.role.load() == shm::Role::writer && record.presence.load() == shm::Presence::attached ? 1 : 0;
    }
    return count > 0;
  };
  instance.next_epoch(test::small_frames());
  EXPECT_TRUE(eventually(attached));
  writer.stop();
  EXPECT_EQ(writer.failure(), "");
}

TEST(Service, StoppedWhileItWaitsItEnds) {
  TempFolder folder;
  config::Config settings;
  settings.instance = test::TestInstance::unique_name();
  settings.output.dir = folder.path();
  WriterThread writer(settings);
  writer.stop();
  EXPECT_EQ(writer.failure(), "");
}

TEST(Service, RefusesAGeometryFileThatIsNotThereOrDoesNotFitTheFrames) {
  TempFolder folder;
  config::Config settings;
  settings.instance = test::TestInstance::unique_name();
  settings.output.dir = folder.path();
  settings.output.geometry = folder.path() / "epix.geom";
  WriterThread missing(settings);
  missing.stop();
  EXPECT_NE(missing.failure().find("geometry.not-readable"), std::string::npos) << missing.failure();
  const std::string text =
      "data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\n"
      "p/fs = x\np/ss = y\np/corner_x = 0\np/corner_y = 0\n"
      "p/min_fs = 0\np/max_fs = 383\np/min_ss = 0\np/max_ss = 351\n";
  test::write_all(settings.output.geometry, std::as_bytes(std::span(text)));
  WriterThread other(settings);
  other.stop();
  EXPECT_NE(other.failure().find("geometry.does-not-fit"), std::string::npos) << other.failure();
  EXPECT_NE(other.failure().find("512 x 512"), std::string::npos) << other.failure();
}

// The configuration fits, but the pool that the daemon made has other frames: they are not written wrongly, they wait.
TEST(Service, HoldsFramesThatTheGeometryFileDoesNotFit) {
  Stage stage;  // 2 panels of 48 x 64
  TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.geometry = folder.path() / "a.geom";
  settings.pool.shape = {1, 48, 64};
  const std::string text =
      "data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\n"
      "p/fs = x\np/ss = y\np/corner_x = 0\np/corner_y = 0\n"
      "p/min_fs = 0\np/max_fs = 63\np/min_ss = 0\np/max_ss = 47\n";
  test::write_all(settings.output.geometry, std::as_bytes(std::span(text)));
  WriterThread writer(settings);
  ASSERT_TRUE(stage.feed({.number = 0}));
  EXPECT_TRUE(test::eventually([&] {
    for (const auto& record : stage.instance().layout().participants)
      if (record.note.load().find("does not fit frames") != std::string::npos) return true;
    return false;
  }));
  writer.stop();
  EXPECT_EQ(stage.instance().slots_in(shm::SlotState::done), 1U) << "the frame waits for a writer that knows its place";
  EXPECT_TRUE(test::finished_files(folder.path()).empty());
}

TEST(Service, RefusesAnOutputFolderThatCannotBe) {
  TempFolder folder;
  test::write_all(folder.path() / "file", {});
  config::Config settings;
  settings.instance = test::TestInstance::unique_name();
  settings.output.dir = folder.path() / "file" / "below";
  WriterThread writer(settings);
  writer.stop();
  EXPECT_NE(writer.failure().find("output.dir"), std::string::npos) << writer.failure();
}

std::vector<std::string> errors_of(const std::string& instance) {
  std::vector<std::string> said;
  const auto control_segment = shm::ControlSegment::open(instance, shm::Access::read_only);
  if (!control_segment) return said;
  for (const auto& kind : shm::read_errors(**control_segment)) said.push_back(kind.label + ": " + kind.text);
  return said;
}

TEST(Service, AWriterThatCannotStartSaysWhyInTheErrorsOfItsInstance) {
  Stage stage;
  TempFolder folder;
  test::write_all(folder.path() / "file", {});
  auto settings = stage.settings(folder.path() / "file" / "below");
  WriterThread folder_missing(settings);
  folder_missing.stop();
  ASSERT_EQ(errors_of(settings.instance).size(), 1U);
  EXPECT_NE(errors_of(settings.instance).front().find("output.dir"), std::string::npos);
  EXPECT_NE(errors_of(settings.instance).front().find("peaknet-writer cannot start"), std::string::npos);
  settings.output.dir = folder.path();
  settings.output.geometry = folder.path() / "epix.geom";
  WriterThread no_geometry(settings);
  no_geometry.stop();
  EXPECT_EQ(errors_of(settings.instance).size(), 2U);
  EXPECT_BALANCED(stage.instance());
}

TEST(Service, AFolderThatIsReadOnlyForTheUnitIsRefusedWithTheDropInThatAllowsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
  // Of this thread's own: the mount is seen by nobody else.
  std::jthread([] {
    if (::unshare(CLONE_FS) != 0 || ::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "no namespaces here";
    TempFolder folder;
    const auto at = folder.path().string();
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    if (::mount("none", at.c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) GTEST_SKIP() << "no mounts here";
    for (const auto& dir : {folder.path(), folder.path() / "below"}) {
      const auto refused = prepare_output_folder(dir, "peaknet-writer@mfx.service");
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().id, "output.denied");
      EXPECT_NE(refused.error().remedy.find("systemctl edit peaknet-writer@mfx.service"), std::string::npos);
      EXPECT_NE(refused.error().remedy.find("ReadWritePaths=" + dir.string()), std::string::npos);
      EXPECT_LT(("peaknet-writer cannot start: " + refused.error().text()).size(), 256U)
          << "the control segment holds no more";
    }
    EXPECT_EQ(prepare_output_folder(folder.path(), "").error().remedy.find("systemctl"), std::string::npos);
    ::umount2(at.c_str(), MNT_DETACH);
  }).join();
}

TEST(Service, MakesItsFolder) {
  Stage stage;
  TempFolder folder;
  WriterThread writer(stage.settings(folder.path() / "a" / "b"));
  ASSERT_TRUE(stage.feed({.number = 0}));
  ASSERT_TRUE(stage.close_files());
  EXPECT_EQ(test::finished_files(folder.path() / "a" / "b").size(), 1U);
}

}  // namespace
}  // namespace peaknet::writer
