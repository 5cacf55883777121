// The main job: frames in, CXI files out, every frame accounted for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

const System::Options kSmall{.model = "builtin:threshold=150"};

void expect_balanced(const nlohmann::json& frames) {
  EXPECT_EQ(frames.at("imbalance"), 0) << frames.dump(2);
  EXPECT_EQ(frames.at("in_flight"), 0) << frames.dump(2);
  EXPECT_EQ(frames.at("dropped").at("oldest"), 0);
  for (const auto& [cause, count] : frames.at("failed").items()) EXPECT_EQ(count, 0) << cause;
}

TEST(EndToEnd, EveryHitIsInOneFileAndEveryBlankIsCounted) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  auto feed = system.feed({"simulate", "--frames", "400", "--hit-fraction", "0.5", "--seed", "7"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();

  const auto stats = system.stats();
  const auto& frames = stats.at("frames");
  expect_balanced(frames);
  EXPECT_EQ(frames.at("committed"), 400);
  EXPECT_EQ(frames.at("inferred"), 400);
  const auto written = frames.at("written").get<std::size_t>();
  EXPECT_EQ(written + frames.at("filtered").get<std::size_t>(), 400U);
  EXPECT_GT(written, 120U);
  EXPECT_LT(written, 280U);

  const auto in_files = system.frames_in_files();
  EXPECT_EQ(in_files.size(), written);
  for (const auto& [key, times] : in_files) EXPECT_EQ(times, 1) << key.first << "/" << key.second;
  EXPECT_TRUE(system.unfinished().empty());  // stop has returned: the writer has closed its files
  EXPECT_GT(system.files().size(), 1U);      // 50 events to a file
  EXPECT_EQ(stats.at("late_wakes"), 0);
}

TEST(EndToEnd, ThreeProducersAtOnceLoseNothingAndDoubleNothing) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  std::vector<Child> feeds;
  for (const char* seed : {"1", "2", "3"}) {
    feeds.push_back(
        system.launch("peaknet-feed", {"simulate", "--frames", "300", "--hit-fraction", "1", "--seed", seed}));
  }
  for (auto& feed : feeds) ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto frames = system.stats().at("frames");
  expect_balanced(frames);
  EXPECT_EQ(frames.at("committed"), 900);
  EXPECT_EQ(frames.at("written").get<int>() + frames.at("filtered").get<int>(), 900);
  const auto in_files = system.frames_in_files();
  EXPECT_EQ(in_files.size(), frames.at("written").get<std::size_t>());
  for (const auto& [key, times] : in_files) EXPECT_EQ(times, 1);
  std::set<std::uint64_t> producers;
  for (const auto& [key, times] : in_files) producers.insert(key.first);
  EXPECT_EQ(producers.size(), 3U);
}

// An HDF5 file with three frames that all have the same ten peaks, and what LCLS knows of them; the second event knows
// neither its fiducial nor where the detector stood.
void write_lcls_frames(const std::string& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const auto add = [&](const char* name, hid_t type, std::vector<hsize_t> dims, const void* values) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t set = H5Dcreate2(file, name, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0) << name;
    H5Dclose(set);
    H5Sclose(space);
  };
  std::vector<std::uint16_t> pixels(std::size_t{3} * 128 * 128, 10);
  for (std::size_t frame = 0; frame < 3; ++frame) {
    for (std::size_t peak = 0; peak < 10; ++peak) pixels[(frame * 128 + 5 + 10 * peak) * 128 + 7 + 11 * peak] = 900;
  }
  const std::array<std::int32_t, 3> fiducials{0, -1, 131039};
  const std::array<double, 3> encoder_values{-572.5, std::nan(""), 0.0}, energies{9500.0, 9501.0, 9502.0};
  add("/entry_1/data_1/data", H5T_NATIVE_UINT16, {3, 128, 128}, pixels.data());
  add("/LCLS/fiducial", H5T_NATIVE_INT32, {3}, fiducials.data());
  add("/LCLS/detector_1/EncoderValue", H5T_NATIVE_DOUBLE, {3}, encoder_values.data());
  add("/LCLS/photon_energy_eV", H5T_NATIVE_DOUBLE, {3}, energies.data());
  H5Pclose(links);
  H5Fclose(file);
}

TEST(EndToEnd, FiducialEncoderValueAndMaskArriveInTheFileAndWhatIsNotKnownIsNotZero) {
  System system(kSmall);
  write_lcls_frames((system.folder() / "frames.h5").string());
  system.start_daemon();
  system.start_writer({"output.segmentation=true"});
  auto feed = system.feed({"replay", (system.folder() / "frames.h5").string()});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.files().size(), 1U);
  const hid_t file = H5Fopen(system.files()[0].c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const auto read = [&](const char* name, hid_t type, void* to) {
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    EXPECT_GE(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to), 0) << name;
    H5Dclose(set);
  };
  std::array<std::int32_t, 3> fiducials{};
  std::array<double, 3> encoder_values{};
  std::vector<std::uint8_t> mask(std::size_t{3} * 128 * 128);
  read("/LCLS/fiducial", H5T_NATIVE_INT32, fiducials.data());
  read("/LCLS/detector_1/EncoderValue", H5T_NATIVE_DOUBLE, encoder_values.data());
  read("/entry_1/result_1/segmentation_map", H5T_NATIVE_UINT8, mask.data());
  H5Fclose(file);
  EXPECT_EQ(fiducials, (std::array<std::int32_t, 3>{0, -1, 131039}));
  EXPECT_EQ(encoder_values[0], -572.5);
  EXPECT_TRUE(std::isnan(encoder_values[1]));
  EXPECT_EQ(encoder_values[2], 0.0);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 30);
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t peak = 0; peak < 10; ++peak)
      EXPECT_EQ(mask[(row * 128 + 5 + 10 * peak) * 128 + 7 + 11 * peak], 1) << row << " " << peak;
  }
  auto check = Child::start({"/usr/bin/python3", source_dir() + "/tests/integration/cxi_items.py", "--segmentation",
                             "--events", "3", system.files()[0].string()});
  const auto exit = check.wait();
  EXPECT_TRUE(exit == Exit::code(0) || exit == Exit::code(77)) << check.out() << check.err();  // 77: no h5py here
}

TEST(EndToEnd, OneFrameGoesTheWholeWayWithoutAnotherOneBehindIt) {
  System system({.model = "builtin:threshold=150", .batch = 8});
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "1", "--hit-fraction", "1"}).wait(), Exit::code(0));
  auto drained = system.ctl({"wait", "--for", "drained", "--timeout", "20s"});
  ASSERT_EQ(drained.wait(), Exit::code(0)) << drained.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  expect_balanced(system.stats().at("frames"));
  EXPECT_EQ(system.frames_in_files().size(), 1U);
}

TEST(EndToEnd, APartialBatchIsNothingSpecial) {
  for (const char* count : {"3", "7", "13"}) {
    System system({.model = "builtin:threshold=150", .batch = 8});
    system.start_daemon();
    system.start_writer();
    ASSERT_EQ(system.feed({"simulate", "--frames", count, "--hit-fraction", "1"}).wait(), Exit::code(0));
    ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
    expect_balanced(system.stats().at("frames"));
    EXPECT_EQ(std::to_string(system.frames_in_files().size()), count);
  }
}

TEST(EndToEnd, NoFrameAtAllLeavesNoFile) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  expect_balanced(system.stats().at("frames"));
  EXPECT_TRUE(system.files().empty());
  EXPECT_TRUE(system.unfinished().empty());
}

TEST(EndToEnd, AStopRightAfterAStartEndsTheRunCleanly) {
  System system({.model = "builtin:threshold=150", .more = {"autostart: false"}});
  Child daemon = system.launch("peaknetd", {});
  ASSERT_TRUE(eventually([&] {
    return system.ctl({"wait", "--for", "idle", "--timeout", "1s"}).wait() == Exit::code(0);
  }));
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(system.ctl({"start", "--no-writer"}).wait(), Exit::code(0));
    ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  }
  const auto stats = system.stats();
  EXPECT_EQ(stats.at("state"), "idle");
  EXPECT_EQ(stats.at("lifetime").at("imbalance"), 0);
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), Exit::code(0)) << daemon.err();
}

TEST(EndToEnd, ALaterStartBeginsANewRunWithFilesOfItsOwn) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"start", "--run", "second"}).wait(), Exit::code(0));
  ASSERT_EQ(system.feed({"simulate", "--frames", "30", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto stats = system.stats();
  EXPECT_EQ(stats.at("run"), "second");
  EXPECT_EQ(stats.at("frames").at("committed"), 30);
  EXPECT_EQ(stats.at("lifetime").at("committed"), 50);
  EXPECT_EQ(stats.at("lifetime").at("imbalance"), 0);
  std::map<std::string, int> events;
  for (const auto& event : system.events_in_files()) ++events[event.run];
  EXPECT_EQ(events.size(), 2U);
  EXPECT_EQ(events["second"], 30);
}

TEST(EndToEnd, FramesCommittedWhileStoppedWaitForTheNextRun) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.feed({"simulate", "--frames", "10", "--hit-fraction", "1"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("lifetime").at("in_flight"), 10);
  EXPECT_TRUE(system.files().empty());
  ASSERT_EQ(system.ctl({"start", "--run", "later"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto frames = system.stats().at("frames");
  expect_balanced(frames);
  EXPECT_EQ(frames.at("committed"), 10);
  EXPECT_EQ(system.frames_in_files().size(), 10U);
}

// The counters name the producers by the places they had; here another writer has taken the only one.
TEST(EndToEnd, TheAuditProvesARunWhoseProducersPlaceWasTakenByAnother) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.feed({"simulate", "--frames", "10", "--hit-fraction", "1"}).wait(), Exit::code(0));
  auto second = system.launch("peaknet-writer", {});
  ASSERT_TRUE(eventually([&] { return system.stats().at("writers").size() == 2; })) << second.err();
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
}

TEST(EndToEnd, SigtermDrainsAndTakesTheSharedMemoryAwayWhenNobodyNeedsIt) {
  System system(kSmall);
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "60", "--hit-fraction", "1"}).wait(), Exit::code(0));
  system.daemon().signal(SIGTERM);
  EXPECT_EQ(system.daemon().wait(), Exit::code(0)) << system.daemon().err();
  EXPECT_EQ(system.frames_in_files().size(), 60U);
  system.writer().signal(SIGTERM);
  EXPECT_EQ(system.writer().wait(), Exit::code(0)) << system.writer().err();
  // The writer was still attached when the daemon went, so the memory stayed; the next daemon takes it away.
  system.start_daemon();
  system.daemon().signal(SIGTERM);
  EXPECT_EQ(system.daemon().wait(), Exit::code(0));
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/peaknet." + system.instance()));
}

TEST(EndToEnd, PeaksInTheFilesAreThoseThatWereSimulated) {
  System system({.model = "builtin:threshold=150", .shape = "[2,96,160]"});
  system.start_daemon();
  system.start_writer();
  const std::string truth = (system.folder() / "truth.csv").string();
  auto feed = system.feed({"simulate", "--frames", "25", "--hit-fraction", "1", "--seed", "11", "--truth", truth});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));

  struct Spot {
    double x, y;
  };
  std::map<std::uint64_t, std::vector<Spot>> spots;
  std::FILE* csv = std::fopen(truth.c_str(), "r");
  ASSERT_NE(csv, nullptr);
  char head[256];
  ASSERT_NE(std::fgets(head, sizeof head, csv), nullptr);
  unsigned long long frame = 0;
  unsigned panel = 0;
  double y = 0, x = 0, total = 0;
  while (std::fscanf(csv, "%llu,%u,%lf,%lf,%lf%*[^\n]", &frame, &panel, &y, &x, &total) == 5)
    spots[frame].push_back({x, y + 96.0 * panel});
  std::fclose(csv);

  const auto events = system.events_in_files();
  ASSERT_EQ(events.size(), 25U);
  for (const auto& event : events) {
    const auto& expected = spots.at(event.event_id);
    EXPECT_EQ(event.x.size(), expected.size());
    for (const auto& spot : expected) {  // each simulated spot has a peak within a pixel, in the slab of both panels
      bool found = false;
      for (std::size_t i = 0; i < event.x.size(); ++i)
        found |= std::abs(event.x[i] - spot.x) < 1.0 && std::abs(event.y[i] - spot.y) < 1.0;
      EXPECT_TRUE(found) << "event " << event.event_id << " at " << spot.x << "," << spot.y;
    }
  }
}

}  // namespace
}  // namespace peaknet::test
