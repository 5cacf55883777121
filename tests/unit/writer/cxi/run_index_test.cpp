#include "writer/cxi/run_index.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <fstream>
#include <sstream>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/writer/cxi/samples.hpp"
#include "writer/cxi/compression.hpp"
#include "writer/cxi/reader.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::sample_event;
using test::sample_facts;
using test::sample_image;

class RunIndexTest : public ::testing::Test {
 protected:
  // A finished file with the sample's events `first`, `first` + 1, ...
  std::filesystem::path finish(const std::string& run, int chunk, std::uint64_t first, std::uint64_t events,
                               const FileFacts& facts = sample_facts()) {
    const auto path = folder_.path() / ("p_run" + run + "_20261121_101500_00000" + std::to_string(chunk) +
                                        "_w3_chunk000" + std::to_string(chunk) + ".cxi");
    auto file = must(CxiFile::create(path, facts));
    BitshuffleLz4 codec;
    for (std::uint64_t i = first; i < first + events; ++i) {
      const auto image = sample_image(i, facts);
      auto event = sample_event(i);
      if (!facts.with_photon_energy) event.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
      const auto mask = facts.with_segmentation ? test::sample_segmentation(i, facts) : std::vector<std::byte>();
      must(file.append(event,
                       facts.filter == Filter::none ? std::span<const std::byte>(image)
                                                    : codec.compress(image, size_of(facts.pixel_type)),
                       mask));
    }
    must(file.finish({}));
    return path;
  }
  std::string list(const std::string& run) const {
    std::ifstream file(folder_.path() / ("p_run" + run + ".lst"));
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::filesystem::path master(const std::string& run) const {
    return folder_.path() / ("p_run" + run + "_master.cxi");
  }
  std::string lines(std::initializer_list<std::filesystem::path> paths) const {
    std::string text;
    for (const auto& path : paths) text += path.string() + "\n";
    return text;
  }

  test::TempFolder folder_;
  RunIndex index_{folder_.path(), "p"};
};

TEST_F(RunIndexTest, KnowsTheRunOfAFileByItsName) {
  EXPECT_EQ(run_stem("peaknet_run0217_20261121_101500_000001_w3_chunk0000.cxi"), "peaknet_run0217");
  EXPECT_EQ(run_stem("a_runb_run-1_x_20261121_101500_000001_w31_chunk12345.cxi"), "a_runb_run-1_x");
  for (const char* other :
       {"peaknet_run0217_master.cxi", "peaknet_run0217_20261121_101500_000001_w3_chunk0000.cxi.part", "x.cxi",
        "20261121_101500_000001_w3_chunk0000.cxi"})
    EXPECT_FALSE(run_stem(other)) << other;
}

TEST_F(RunIndexTest, TheListNamesTheFinishedFilesOfItsRun) {
  const auto b = finish("7", 1, 5, 2);
  must(index_.file_finished(b));
  EXPECT_EQ(list("7"), lines({b}));
  std::ofstream(folder_.path() / "p_run7_20261121_101500_000009_w3_chunk0009.cxi.part") << "not finished";
  finish("71", 1, 0, 1);
  const auto a = finish("7", 0, 0, 5);
  must(index_.file_finished(a));
  EXPECT_EQ(list("7"), lines({a, b}));
}

TEST_F(RunIndexTest, TheMasterShowsAllEventsOfTheRunInOneFile) {
  for (const auto filter : {Filter::none, Filter::bitshuffle_lz4}) {
    auto facts = sample_facts();
    facts.filter = filter;
    const std::string run = filter == Filter::none ? "1" : "2";
    must(index_.file_finished(finish(run, 0, 0, 3, facts)));  // 10 to 12 peaks
    must(index_.file_finished(finish(run, 1, 3, 2, facts)));  // 13 and 14
    must(index_.make_masters());
    const auto reader = must(CxiReader::open(master(run)));
    ASSERT_EQ(reader.events(), 5U);
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(test::difference(master(run), i, i, facts), "") << i;
    EXPECT_LT(std::filesystem::file_size(master(run)), 100'000U);
  }
}

TEST_F(RunIndexTest, TheMasterShowsTheMasksWhereAllFilesHaveThem) {
  auto facts = sample_facts();
  facts.with_segmentation = true;
  must(index_.file_finished(finish("1", 0, 0, 3, facts)));
  must(index_.file_finished(finish("1", 1, 3, 2, facts)));
  must(index_.make_masters());
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(test::difference(master("1"), i, i, facts), "") << i;
  must(index_.file_finished(finish("1", 2, 5, 2)));
  must(index_.make_masters());
  const auto reader = must(CxiReader::open(master("1")));
  EXPECT_EQ(reader.events(), 7U);
  EXPECT_TRUE(must(reader.read(0)).segmentation.empty()) << "zeros for the others would be taken for empty masks";
}

TEST_F(RunIndexTest, AnotherProgramReadsTheMasterToo) {
  must(index_.file_finished(finish("1", 0, 0, 3)));
  must(index_.file_finished(finish("1", 1, 3, 2)));
  must(index_.make_masters());
  auto python = test::Child::start(
      {"/usr/bin/python3", "-c",
       "import sys\n"
       "try: import h5py\n"
       "except ImportError: sys.exit(77)\n"
       "f = h5py.File(sys.argv[1])\n"
       "assert f['/entry_1/data_1/data'].is_virtual and f['/entry_1/data_1/data'][4].any()\n"
       "assert list(f['/entry_1/result_1/nPeaks'][:]) == [10, 11, 12, 13, 14]\n"
       "x = f['/entry_1/result_1/peakXPosRaw']\n"
       "assert x.shape == (5, 14) and x[0, 9] == 27.25 and x[0, 10:].max() == 0 and x[4, 13] == 39.25\n"
       "assert list(f['/LCLS/photon_energy_eV'][:]) == [9500.0 + i for i in range(5)]\n"
       "assert f['/entry_1/data_1/experiment_identifier'][4] == b'run 0217 producer 3 frame 4'\n"
       "assert list(f['/LCLS/fiducial'][:]) == [0, 3, 6, 9, 12]\n"
       "assert list(f['/LCLS/detector_1/EncoderValue'][:]) == [-572.5 + i for i in range(5)]\n"
       "assert list(f['/entry_1/peaknet/producer_seq'][:]) == [0, 1, 2, 3, 4]\n"
       "assert f['cxi_version'][()] == 160 and f['/entry_1/data_1/mask'].shape == (64, 65)\n",
       master("1")});
  const auto exit = python.wait();
  if (exit == test::Exit::code(77)) GTEST_SKIP() << "h5py is not there";
  EXPECT_EQ(exit, test::Exit::code(0)) << python.err();
}

TEST_F(RunIndexTest, WhatOneFileLacksTheMasterDoesNotPretend) {
  auto unknown = sample_facts();
  unknown.with_photon_energy = false;
  must(index_.file_finished(finish("1", 0, 0, 3)));
  must(index_.file_finished(finish("1", 1, 3, 2, unknown)));
  must(index_.make_masters());
  const auto reader = must(CxiReader::open(master("1")));
  EXPECT_EQ(reader.events(), 5U);
  EXPECT_FALSE(must(reader.read(0)).photon_energy_ev) << "0 for the others would be taken for an energy";
}

// KiB of this process, by their name in /proc/self/status.
long kib(const std::string& name) {
  std::ifstream status("/proc/self/status");
  long value = 0;
  for (std::string word; status >> word;) {
    if (word == name + ":") status >> value;
  }
  return value;
}

TEST_F(RunIndexTest, AMasterOfManyFilesIsMadeInLittleMemoryAndLeavesNoneBehind) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's memory is counted too";
#endif
  constexpr int kFiles = 300;
  must(index_.file_finished(finish("1", 0, 0, 3)));
  must(index_.make_masters());  // what HDF5 keeps from its first use on
  const auto first = finish("2", 0, 0, 100);
  for (int file = 1; file < kFiles; ++file) {
    auto name = first.filename().string();
    name.replace(name.find("_000000_w3"), 7, "_000" + std::to_string(100 + file));
    std::filesystem::copy_file(first, folder_.path() / name);
  }
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;  // the highest use begins anew (proc(5))
  const long used = kib("VmRSS"), own = kib("RssAnon");
  must(index_.update_all());
  EXPECT_LT(kib("VmHWM") - used, kFiles * 50);
  EXPECT_LT(kib("RssAnon") - own, 2048);
  EXPECT_EQ(must(CxiReader::open(master("2"))).events(), kFiles * 100U);
}

TEST_F(RunIndexTest, FilesOfDifferentShapesHaveAListAndNoMaster) {
  auto other = sample_facts();
  other.height = 16;
  const auto a = finish("1", 0, 0, 2);
  must(index_.file_finished(a));
  must(index_.make_masters());
  EXPECT_TRUE(std::filesystem::exists(master("1")));
  const auto path = folder_.path() / "p_run1_20261121_101500_000001_w3_chunk0001.cxi";
  auto file = must(CxiFile::create(path, other));
  auto event = sample_event(0);
  event.peaks.clear();
  must(file.append(event, std::vector<std::byte>(other.image_bytes())));
  must(file.finish({}));
  must(index_.file_finished(path));
  must(index_.make_masters());
  EXPECT_EQ(list("1"), lines({a, path}));
  EXPECT_FALSE(std::filesystem::exists(master("1"))) << "one that lacks a file would look whole";
}

TEST_F(RunIndexTest, ARunThatEndedHasItsMasterWhenTheNextOnesFirstFileIsFinished) {
  must(index_.file_finished(finish("1", 0, 0, 2)));
  EXPECT_FALSE(std::filesystem::exists(master("1")));
  must(index_.file_finished(finish("2", 0, 0, 2)));
  EXPECT_TRUE(std::filesystem::exists(master("1")));
  EXPECT_FALSE(std::filesystem::exists(master("2")));
}

TEST_F(RunIndexTest, AtTheStartWhatIsMissingOrStaleIsMade) {
  const auto a = finish("1", 0, 0, 2);
  const auto b = finish("2", 0, 2, 2);
  must(index_.update_all());
  EXPECT_EQ(list("1"), lines({a}));
  EXPECT_TRUE(std::filesystem::exists(master("2")));
  const auto before = std::filesystem::last_write_time(master("2"));
  const auto c = finish("1", 1, 4, 1);
  std::ofstream(folder_.path() / "p_run1_master.cxi.new") << "left by a kill";
  must(index_.update_all());
  EXPECT_EQ(list("1"), lines({a, c}));
  EXPECT_EQ(must(CxiReader::open(master("1"))).events(), 3U);
  EXPECT_EQ(std::filesystem::last_write_time(master("2")), before) << "what is right is left alone";
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "p_run1_master.cxi.new"));
}

TEST_F(RunIndexTest, AFolderThatIsGoneIsAnError) {
  RunIndex nowhere(folder_.path() / "gone", "p");
  EXPECT_EQ(nowhere.file_finished("p_run1_20261121_101500_000000_w3_chunk0000.cxi").error().id,
            "output.folder-missing");
}

}  // namespace
}  // namespace peaknet::writer
