// `peaknet-writer peaks` as its users meet it: files in, tables out.
#include "writer/peaks_command.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cxi/hdf5.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/peaks/npz.hpp"

namespace peaknet::writer {
namespace {

using Row = std::vector<double>;

std::vector<Row> rows_of(std::istream& csv) {
  std::vector<Row> rows;
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "event,panel,y,x,y_weighted,x_weighted,n_pixels,sum,max,snr,y0,x0,y1,x1,first_index");
  while (std::getline(csv, line)) {
    std::istringstream cells(line);
    Row row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(std::strtod(cell.c_str(), nullptr));
    EXPECT_EQ(row.size(), 15U) << line;
    rows.push_back(row);
  }
  return rows;
}

class PeaksCommand : public ::testing::Test {
 protected:
  PeaksCommand() : path_(folder_.path() / "frames.h5") {
    const auto guard = use_hdf5();
    file_ = H5Handle(H5Fcreate(path_.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  }
  void put(const char* name, const std::vector<hsize_t>& shape, hid_t type, const void* values) {
    const H5Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
    const H5Handle set(H5Dcreate2(file_.get(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                       H5Dclose);
    ASSERT_GE(H5Dwrite(set.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
  }
  PeaksRequest request(const std::string& mask, const std::string& image = "", std::uint32_t panels = 1) {
    file_.close();
    return {.file = path_, .mask = mask, .image = image, .panels = panels};
  }
  static std::vector<Row> found(const PeaksRequest& request) {
    std::stringstream out;
    const auto total = find_peaks_in_file(request, out);
    EXPECT_TRUE(total) << total.error().text();
    return rows_of(out);
  }
  static std::string refusal(const PeaksRequest& request) {
    std::ostringstream out;
    const auto total = find_peaks_in_file(request, out);
    return total ? "none" : total.error().id;
  }

  peaknet::test::TempFolder folder_;
  std::filesystem::path path_;
  H5Handle file_;
};

class ReferenceThroughTheCommand : public PeaksCommand, public ::testing::WithParamInterface<const char*> {};

TEST_P(ReferenceThroughTheCommand, TheTableIsScipysToTheLastBit) {
  const char* source = std::getenv("PEAKNET_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "start this test with ctest";
  auto arrays = test::read_npz(std::string(source) + "/tests/data/peaks/" + GetParam() + ".npz");
  const auto& mask = arrays.at("mask");
  const std::vector<hsize_t> shape = {1, mask.shape[0], mask.shape[1], mask.shape[2]};
  put("mask", shape, H5T_NATIVE_UINT8, mask.bytes.data());
  const bool has_image = arrays.contains("image");
  if (has_image) put("image", shape, H5T_NATIVE_UINT16, arrays.at("image").bytes.data());
  const auto valid = arrays.at("valid").as<std::int32_t>("<i4");
  const auto expected = arrays.at("exp").as<double>("<f8");

  auto rows = found(request("mask", has_image ? "image" : ""));
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(arrays.at("n8").as<std::int64_t>("<i8").at(0)));
  std::erase_if(rows, [&](const Row& row) { return row[2] >= valid[0] || row[3] >= valid[1]; });
  ASSERT_EQ(rows.size() * 14, expected.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double* e = expected.data() + i * 14;  // panel y x yu xu npix sum max y0 x0 y1 x1 weighted first_index
    const Row& r = rows[i];
    const Row in_their_order = {r[1], r[4], r[5], r[2], r[3], r[6], r[7], r[8], r[10], r[11], r[12], r[13], r[14]};
    const Row theirs = {e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7], e[8], e[9], e[10], e[11], e[13]};
    for (std::size_t k = 0; k < theirs.size(); ++k) EXPECT_NEAR(in_their_order[k], theirs[k], 1e-9) << i << " " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Scipy, ReferenceThroughTheCommand,
                         testing::Values("01_512_sparse", "07_edges_touch_u_singles", "08_classes_0123", "13_odd_1x70",
                                         "13_odd_2x129", "13_odd_63x65", "14_512_no_image"),
                         [](const auto& file) { return std::string("File_") + file.param; });

// Two events of two panels of 3 x 4; each with a peak across the panels' border, which is two.
constexpr std::array<std::uint8_t, 48> kMasks = {0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0,   // event 0, panel 0
                                                 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,   // event 0, panel 1
                                                 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   // event 1, panel 0
                                                 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};  // event 1, panel 1

TEST_F(PeaksCommand, BothCentresOfASpotWithAShoulderBelowZeroLieInItsBox) {
  std::vector<std::int16_t> pixels(8 * 16, -40);
  std::vector<std::uint8_t> classes(pixels.size(), 0);
  const std::size_t first = 3 * 16 + 2;
  for (std::size_t i = 0; i < 6; ++i) {
    pixels[first + i] = i == 0 ? 60 : -11;
    classes[first + i] = 1;
  }
  put("mask", {8, 16}, H5T_NATIVE_UINT8, classes.data());
  put("image", {8, 16}, H5T_NATIVE_INT16, pixels.data());
  const auto rows = found(request("mask", "image"));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0][3], 4.5);
  EXPECT_EQ(rows[0][5], 2) << "the only pixel above zero";
  EXPECT_EQ(rows[0][4], 3);
  EXPECT_EQ(rows[0][7], 5) << "the sum is of all pixels";
}

TEST_F(PeaksCommand, PanelsAreADimensionOrStackedAndNeverJoined) {
  put("by_panel", {2, 2, 3, 4}, H5T_NATIVE_UINT8, kMasks.data());
  put("stacked", {2, 6, 4}, H5T_NATIVE_UINT8, kMasks.data());
  const auto by_panel = found(request("by_panel"));
  ASSERT_EQ(by_panel.size(), 3U);
  EXPECT_EQ(by_panel[0][0], 0);
  EXPECT_EQ(by_panel[1][1], 1);
  EXPECT_EQ(by_panel[1][2], 0);
  EXPECT_EQ(by_panel[2][0], 1);
  EXPECT_EQ(found(request("stacked", "", 2)), by_panel);
  EXPECT_EQ(found(request("stacked")).size(), 2U) << "one panel of 6 rows: the first two are one peak";
}

TEST_F(PeaksCommand, ASingleMaskIsAnEvent) {
  put("one", {6, 4}, H5T_NATIVE_UINT8, kMasks.data());
  EXPECT_EQ(found(request("one", "", 2)).size(), 2U);
}

TEST_F(PeaksCommand, TakesClassMapsAndImagesOfManyTypes) {
  std::array<std::int64_t, 48> wide{};
  std::copy(kMasks.begin(), kMasks.end(), wide.begin());
  wide[0] = -1;
  wide[20] = 257;  // no class 1 whatever is cut off
  std::array<std::uint8_t, 48> bytes{};
  std::array<float, 48> floats{};
  for (std::size_t i = 0; i < 48; ++i) floats[i] = bytes[i] = static_cast<std::uint8_t>(i);
  put("wide", {2, 2, 3, 4}, H5T_NATIVE_INT64, wide.data());
  put("bytes", {2, 2, 3, 4}, H5T_NATIVE_UINT8, bytes.data());
  put("floats", {2, 2, 3, 4}, H5T_NATIVE_FLOAT, floats.data());
  const auto as_counts = found(request("wide", "bytes"));
  ASSERT_EQ(as_counts.size(), 3U);
  EXPECT_EQ(as_counts[0][7], 5 + 6 + 9);
  EXPECT_EQ(as_counts[0][8], 9);
  const auto as_floats = found(request("wide", "floats"));
  EXPECT_EQ(as_floats[0][7], 20);
  EXPECT_EQ(as_floats[0][4], as_counts[0][4]);
}

TEST_F(PeaksCommand, AnHdf5TableHoldsWhatTheCsvHolds) {
  put("masks", {2, 2, 3, 4}, H5T_NATIVE_UINT8, kMasks.data());
  auto asked = request("masks");
  const auto rows = found(asked);
  asked.out = folder_.path() / "table.csv";
  std::ostringstream nothing;
  ASSERT_TRUE(find_peaks_in_file(asked, nothing));
  std::ifstream written(asked.out);
  EXPECT_EQ(rows_of(written), rows);
  asked.out = folder_.path() / "table.h5";
  ASSERT_TRUE(find_peaks_in_file(asked, nothing));
  EXPECT_EQ(nothing.str(), "");
  const H5Handle table(H5Fopen(asked.out.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const auto column = [&](const char* name, std::size_t count) {
    std::vector<double> values(count);
    const H5Handle set(H5Dopen2(table.get(), name, H5P_DEFAULT), H5Dclose);
    EXPECT_GE(H5Dread(set.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
    return values;
  };
  EXPECT_EQ(column("/n_peaks", 2), (Row{2, 1}));
  EXPECT_EQ(column("/peaks/event", 3), (Row{0, 0, 1}));
  EXPECT_EQ(column("/peaks/y", 3), (Row{rows[0][2], rows[1][2], rows[2][2]}));
  EXPECT_EQ(column("/peaks/first_index", 3), (Row{rows[0][14], rows[1][14], rows[2][14]}));
}

TEST_F(PeaksCommand, AMaskThatIsNoDataIsCountedAndHasNoPeaks) {
  put("masks", {2, 2, 3, 4}, H5T_NATIVE_UINT8, kMasks.data());
  auto asked = request("masks");
  asked.most = 1;
  std::stringstream out;
  const auto total = find_peaks_in_file(asked, out);
  ASSERT_TRUE(total);
  EXPECT_EQ(total->events, 2U);
  EXPECT_EQ(total->broken, 1U);
  EXPECT_EQ(total->peaks, 1U);
  EXPECT_EQ(rows_of(out).size(), 1U);
}

TEST_F(PeaksCommand, RefusesWhatItCannotReadAndLeavesOtherFilesAlone) {
  const std::array<double, 48> doubles{};
  put("masks", {2, 2, 3, 4}, H5T_NATIVE_UINT8, kMasks.data());
  put("doubles", {2, 2, 3, 4}, H5T_NATIVE_DOUBLE, doubles.data());
  put("other", {1, 2, 3, 8}, H5T_NATIVE_UINT16, doubles.data());
  put("line", {48}, H5T_NATIVE_UINT8, kMasks.data());
  put("none", {2, 0, 4}, H5T_NATIVE_UINT8, kMasks.data());
  EXPECT_EQ(refusal(request("nowhere")), "frames.no-dataset");
  EXPECT_EQ(refusal(request("doubles")), "frames.other-type");
  EXPECT_EQ(refusal(request("masks", "doubles")), "frames.other-type");
  EXPECT_EQ(refusal(request("masks", "other")), "frames.differ");
  EXPECT_EQ(refusal(request("line")), "frames.other-shape");
  EXPECT_EQ(refusal(request("none")), "frames.other-shape");
  EXPECT_EQ(refusal(request("masks", "", 3)), "frames.other-shape");
  auto asked = request("masks");
  asked.out = folder_.path() / "table.txt";
  EXPECT_EQ(refusal(asked), "peaks.other-format");
  asked.out = folder_.path() / "table.csv";
  std::ofstream(asked.out) << "mine";
  EXPECT_EQ(refusal(asked), "output.exists");
  EXPECT_EQ(std::filesystem::file_size(asked.out), 4U);
  asked.out = folder_.path() / "nowhere" / "table.csv";
  EXPECT_EQ(refusal(asked), "output.folder-missing");
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"frames.h5", "table.csv"})) << "no beginnings are left";
}

// Of masks that were never written HDF5 makes zeros: a table without their peaks would be believed.
TEST_F(PeaksCommand, WhatIsNotStoredWholeIsRefused) {
  const std::array<hsize_t, 4> dims = {2, 2, 3, 4}, chunk = {1, 2, 3, 4}, begin = {0, 0, 0, 0};
  const H5Handle space(H5Screate_simple(4, dims.data(), nullptr), H5Sclose);
  const H5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), 4, chunk.data());
  H5Handle set(H5Dcreate2(file_.get(), "half", H5T_STD_U8LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
               H5Dclose);
  const H5Handle one(H5Screate_simple(4, chunk.data(), nullptr), H5Sclose);
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, chunk.data(), nullptr);
  ASSERT_GE(H5Dwrite(set.get(), H5T_NATIVE_UINT8, one.get(), space.get(), H5P_DEFAULT, kMasks.data()), 0);
  set.close();
  EXPECT_EQ(refusal(request("half")), "frames.not-whole");
}

TEST_F(PeaksCommand, APipeIsRefusedAndNotWaitedFor) {
  auto asked = request("masks");
  asked.file = folder_.path() / "pipe.h5";
  ASSERT_EQ(mkfifo(asked.file.c_str(), 0600), 0);
  EXPECT_EQ(refusal(asked), "frames.no-file");
}

TEST_F(PeaksCommand, TheProgramPrintsTheTableAndEndsWithOneOnAnError) {
  put("masks", {2, 2, 3, 4}, H5T_NATIVE_UINT8, kMasks.data());
  const auto rows = found(request("masks"));
  const std::string program = peaknet::test::bin_dir() + "/peaknet-writer";
  auto good = peaknet::test::Child::start({program, "peaks", path_, "--mask", "masks"});
  EXPECT_EQ(good.wait(), peaknet::test::Exit::code(0)) << good.err();
  std::istringstream printed(good.out());
  EXPECT_EQ(rows_of(printed), rows);
  EXPECT_EQ(good.err(), "3 peaks in 2 events\n");
  auto bad = peaknet::test::Child::start({program, "peaks", path_, "--mask", "other"});
  EXPECT_EQ(bad.wait(), peaknet::test::Exit::code(1));
  EXPECT_NE(bad.err().find("frames.no-dataset"), std::string::npos) << bad.err();
  EXPECT_EQ(peaknet::test::Child::start({program, "peaks", path_}).wait(), peaknet::test::Exit::code(2));
}

}  // namespace
}  // namespace peaknet::writer
