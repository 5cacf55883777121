#include "cxi/run_index.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "cxi/reader.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::sample_event;
using test::sample_facts;

class RunIndexTest : public ::testing::Test {
 protected:
  std::filesystem::path finish(const std::string& run, int chunk, std::uint64_t first, std::uint64_t events,
                               const FileFacts& facts = sample_facts()) const {
    return test::finish_file(folder_.path(), run, chunk, first, events, facts);
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

  void add(const std::filesystem::path& path) { must(index_.files_finished(std::span(&path, 1), now_)); }

  test::TempFolder folder_;
  RunIndex index_{folder_.path(), "p"};
  RunIndex::Clock::time_point now_{};
};

TEST_F(RunIndexTest, TheListNamesTheFinishedFilesOfItsRun) {
  const auto b = finish("7", 1, 5, 2);
  add(b);
  EXPECT_EQ(list("7"), lines({b}));
  std::ofstream(folder_.path() / "p_run7_chunk0009_20261121_101500_000009_w3.cxi.part") << "not finished";
  finish("71", 1, 0, 1);
  const auto a = finish("7", 0, 0, 5);
  add(a);
  EXPECT_EQ(list("7"), lines({a, b}));
}

TEST_F(RunIndexTest, TheMasterHasTheColumnsThatAllFilesHaveAndNeverAZeroForWhatIsNotKnown) {
  auto facts = sample_facts();
  facts.columns = test::sample_columns(3);
  add(finish("1", 0, 0, 2, facts));
  add(finish("1", 1, 2, 3, facts));
  must(index_.make_masters());
  EXPECT_EQ(test::numbers_of(master("1"), "/LCLS/laser_on"), std::vector<double>(5, 255.0));
  const auto spectra = test::numbers_of(master("1"), "/LCLS/spectrum");
  ASSERT_EQ(spectra.size(), 15U);
  for (const double value : spectra) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(test::attribute_of(master("1"), "/LCLS/spectrum", "units"), "eV");
  // Rows of another length would have to be filled up.
  facts.columns = test::sample_columns(4);
  add(finish("1", 2, 5, 1, facts));
  must(index_.make_masters());
  EXPECT_EQ(test::numbers_of(master("1"), "/LCLS/laser_on"), std::vector<double>(6, 255.0));
  EXPECT_TRUE(test::numbers_of(master("1"), "/LCLS/spectrum").empty());
  // A file of before the columns.
  add(finish("1", 3, 6, 1));
  must(index_.make_masters());
  EXPECT_TRUE(test::numbers_of(master("1"), "/LCLS/laser_on").empty());
  EXPECT_EQ(test::numbers_of(master("1"), "/entry_1/result_1/nPeaks").size(), 7U);
}

TEST_F(RunIndexTest, AWriterThatCameLaterIsLaterInListAndMasterThoughItBeginsWithChunkZero) {
  const auto moved = [&](const std::filesystem::path& path, const std::string& name) {
    const auto to = path.parent_path() / name;
    std::filesystem::rename(path, to);
    return to;
  };
  const auto first = moved(finish("1", 1, 0, 2), "p_run1_chunk0001_20261121_101500_000000_w9.cxi");
  const auto second = moved(finish("1", 0, 2, 3), "p_run1_chunk0000_20261121_101600_000000_w10.cxi");
  add(second);
  add(first);
  EXPECT_EQ(list("1"), lines({first, second}));
  must(index_.make_masters());
  EXPECT_EQ(list("1"), lines({first, second}));
  const auto reader = must(CxiReader::open(master("1")));
  ASSERT_EQ(reader.events(), 5U);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(test::difference(master("1"), i, i, sample_facts()), "") << i;
}

TEST_F(RunIndexTest, TheMasterShowsAllEventsOfTheRunInOneFile) {
  for (const auto filter : {Filter::none, Filter::bitshuffle_lz4}) {
    auto facts = sample_facts();
    facts.filter = filter;
    const std::string run = filter == Filter::none ? "1" : "2";
    add(finish(run, 0, 0, 3, facts));  // 10 to 12 peaks
    add(finish(run, 1, 3, 2, facts));  // 13 and 14
    must(index_.make_masters());
    const auto reader = must(CxiReader::open(master(run)));
    ASSERT_EQ(reader.events(), 5U);
    EXPECT_TRUE(reader.has_images());
    EXPECT_EQ(reader.slab(), stacked(facts.panels, facts.height, facts.width)) << "as its files say";
    EXPECT_EQ(reader.config(), facts.config);
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(test::difference(master(run), i, i, facts), "") << i;
    EXPECT_LT(std::filesystem::file_size(master(run)), 100'000U);
  }
}

TEST_F(RunIndexTest, TheMasterShowsTheMasksWhereAllFilesHaveThem) {
  auto facts = sample_facts();
  facts.with_segmentation = true;
  add(finish("1", 0, 0, 3, facts));
  add(finish("1", 1, 3, 2, facts));
  must(index_.make_masters());
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(test::difference(master("1"), i, i, facts), "") << i;
  add(finish("1", 2, 5, 2));
  must(index_.make_masters());
  const auto reader = must(CxiReader::open(master("1")));
  EXPECT_EQ(reader.events(), 7U);
  EXPECT_TRUE(must(reader.read(0)).segmentation.empty()) << "zeros for the others would be taken for empty masks";
}

TEST_F(RunIndexTest, AnotherProgramReadsTheMasterToo) {
  add(finish("1", 0, 0, 3));
  add(finish("1", 1, 3, 2));
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

TEST_F(RunIndexTest, AMasterAwayFromItsFilesIsRightAboutAllButImagesAndThoseAreNoZeros) {
  auto facts = sample_facts();
  facts.with_segmentation = true;
  for (const auto type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    facts.pixel_type = type;
    const std::string run = std::to_string(static_cast<int>(type) + 1);
    add(finish(run, 0, 0, 3, facts));
    add(finish(run, 1, 3, 2, facts));
    must(index_.make_masters());
    const test::TempFolder away;
    const auto moved = away.path() / "master.cxi";
    std::filesystem::copy_file(master(run), moved);
    for (const char* column : {"/entry_1/result_1/nPeaks", "/entry_1/result_1/peakXPosRaw",
                               "/entry_1/result_1/peakTotalIntensity", "/LCLS/photon_energy_eV", "/LCLS/timestamp",
                               "/LCLS/machineTime", "/LCLS/fiducial", "/LCLS/detector_1/EncoderValue",
                               "/entry_1/peaknet/producer_seq", "/entry_1/peaknet/event_id", "/entry_1/data_1/mask"}) {
      const auto there = test::numbers_of(master(run), column);
      EXPECT_FALSE(there.empty()) << column;
      EXPECT_EQ(test::numbers_of(moved, column), there) << column;
    }
    EXPECT_EQ(test::numbers_of(moved, "/entry_1/result_1/nPeaks"), (std::vector<double>{10, 11, 12, 13, 14}));
    EXPECT_EQ(test::numbers_of(moved, "/LCLS/photon_energy_eV").back(), 9504);
    for (const double pixel : test::numbers_of(moved, "/entry_1/data_1/data")) {
      ASSERT_TRUE(type == PixelType::float32 ? std::isnan(pixel)
                                             : pixel == (type == PixelType::uint16 ? 65535 : -32768));
    }
    for (const double pixel : test::numbers_of(moved, "/entry_1/result_1/segmentation_map")) ASSERT_EQ(pixel, 255);
  }
}

TEST_F(RunIndexTest, APixelThatIsBadInOneFileIsBadInTheMaster) {
  auto facts = sample_facts();
  add(finish("1", 0, 0, 2, facts));
  const auto before = test::numbers_of(finish("9", 0, 0, 2, facts), "/entry_1/data_1/mask");
  facts.bad = test::bad_mask(facts, {{1, 4, 9}});
  add(finish("1", 1, 2, 2, facts));
  facts.bad = test::bad_mask(facts, {{0, 4, 8}});
  add(finish("1", 2, 4, 2, facts));
  must(index_.make_masters());
  auto expected = before;
  ASSERT_EQ(expected.size(), 64U * 65U);
  expected[36 * 65 + 9] = expected[4 * 65 + 8] = 1;
  EXPECT_EQ(test::numbers_of(master("1"), "/entry_1/data_1/mask"), expected);
}

TEST_F(RunIndexTest, WhatOneFileLacksTheMasterDoesNotPretend) {
  auto unknown = sample_facts();
  unknown.with_photon_energy = false;
  add(finish("1", 0, 0, 3));
  add(finish("1", 1, 3, 2, unknown));
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
  add(finish("1", 0, 0, 3));
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
  add(a);
  must(index_.make_masters());
  EXPECT_TRUE(std::filesystem::exists(master("1")));
  const auto path = folder_.path() / "p_run1_chunk0001_20261121_101500_000001_w3.cxi";
  auto file = must(CxiFile::create(path, other));
  auto event = sample_event(0);
  event.peaks.clear();
  must(file.append(event, std::vector<std::byte>(other.image_bytes())));
  must(file.finish({}));
  add(path);
  must(index_.make_masters());
  EXPECT_EQ(list("1"), lines({a, path}));
  EXPECT_FALSE(std::filesystem::exists(master("1"))) << "one that lacks a file would look whole";
}

TEST_F(RunIndexTest, TheMasterHasEachFileAfterSecondsThoughTheRunGoesOn) {
  add(finish("1", 0, 0, 2));
  add(finish("2", 0, 0, 3));
  EXPECT_EQ(index_.next_due(), now_ + RunIndex::kMasterEvery);
  must(index_.make_due_masters(now_));
  EXPECT_FALSE(std::filesystem::exists(master("1"))) << "files that end together share one";
  now_ += RunIndex::kMasterEvery;
  must(index_.make_due_masters(now_));
  EXPECT_EQ(must(CxiReader::open(master("1"))).events(), 2U);
  EXPECT_EQ(must(CxiReader::open(master("2"))).events(), 3U);
  EXPECT_FALSE(index_.next_due());
  add(finish("1", 1, 2, 2));
  ASSERT_TRUE(index_.next_due());
  EXPECT_GE(*index_.next_due(), now_ + RunIndex::kMasterEvery);
  now_ += std::chrono::hours(1);
  must(index_.make_due_masters(now_));
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(test::difference(master("1"), i, i, sample_facts()), "") << i;
  const auto made = std::filesystem::last_write_time(master("1"));
  must(index_.make_masters());
  EXPECT_EQ(std::filesystem::last_write_time(master("1")), made) << "at the end of the run it was right already";
}

TEST_F(RunIndexTest, AFileThatIsGoneIsNoMoreInListAndMasterWithTheNextOne) {
  const auto a = finish("1", 0, 0, 2), b = finish("1", 1, 2, 2), c = finish("1", 2, 4, 2);
  add(a);
  add(b);
  std::filesystem::remove(a);
  add(c);
  must(index_.make_due_masters(now_ + RunIndex::kMasterEvery));
  EXPECT_EQ(list("1"), lines({b, c}));
  EXPECT_EQ(must(CxiReader::open(master("1"))).events(), 4U);
}

TEST_F(RunIndexTest, WithAListThereAFileCostsNoLookAtTheFolder) {
  const auto a = finish("1", 0, 0, 1);
  add(a);
  const auto unknown = finish("1", 1, 1, 1);  // only a look would find it
  const auto c = finish("1", 2, 2, 1);
  add(c);
  EXPECT_EQ(list("1"), lines({a, c}));
  must(index_.make_masters());
  EXPECT_EQ(list("1"), lines({a, unknown, c})) << "at the end of a run the folder is looked at";
}

TEST_F(RunIndexTest, AListThatIsNotOursOrCutIsMadeAnew) {
  const auto a = finish("1", 0, 0, 1), b = finish("1", 1, 1, 1);
  for (const std::string there : {"/elsewhere/p_run1_x.cxi\n", "\n", "", "cut"}) {
    std::ofstream(folder_.path() / "p_run1.lst") << there;
    add(b);
    EXPECT_EQ(list("1"), lines({a, b})) << there;
  }
  std::ofstream(folder_.path() / "p_run1.lst") << lines({a}).substr(0, lines({a}).size() - 1);
  add(b);
  EXPECT_EQ(list("1"), lines({a, b})) << "its last line had no end";
}

TEST_F(RunIndexTest, WhatCouldNotBeListedIsListedNextTime) {
  const auto a = finish("1", 0, 0, 1);
  add(a);
  const auto beginning = folder_.path() / "p_run1.lst.new";
  std::filesystem::create_directory(beginning);
  const auto b = finish("1", 1, 1, 1), c = finish("1", 2, 2, 1);
  EXPECT_FALSE(index_.files_finished(std::span(&b, 1), now_));
  EXPECT_EQ(list("1"), lines({a}));
  EXPECT_TRUE(index_.next_due().has_value());
  std::filesystem::remove(beginning);
  add(c);
  EXPECT_EQ(list("1"), lines({a, b, c}));
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
  const std::filesystem::path path = "p_run1_chunk0000_20261121_101500_000000_w3.cxi";
  EXPECT_EQ(nowhere.files_finished(std::span(&path, 1), now_).error().id, "output.folder-missing");
}

}  // namespace
}  // namespace peaknet::writer
