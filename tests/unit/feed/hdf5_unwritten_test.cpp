// Storage that HDF5 made and nobody wrote: holes of the file, and frames of nothing but the fill value.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "feed/file_holes.hpp"
#include "feed/hdf5_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::counting;
using test::FileWriter;
using test::fill;
using test::fill_error;
using test::must;
using test::temporary_file;
using ::testing::HasSubstr;

constexpr hsize_t kHeight = 128, kWidth = 256;  // a frame is 16 pages
constexpr shm::Geometry kImage{8, 1, kHeight, kWidth, PixelType::uint16};
constexpr std::size_t kPixels = kHeight * kWidth;

struct Storing {
  bool chunked = false;
  bool early = false;
  int fill = -1;  // a value that the writer chose
  bool big_endian = false;
};

// Five frames, of which the one in the middle is written.
std::string one_of_five(const std::string& name, const Storing& how) {
  FileWriter made(temporary_file(name));
  const hsize_t dims[] = {5, kHeight, kWidth}, one[] = {1, kHeight, kWidth}, at[] = {2, 0, 0};
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (how.chunked) H5Pset_chunk(creation.get(), 3, one);
  if (how.early) H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  if (how.fill < 0) H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  const auto value = static_cast<std::uint16_t>(how.fill);
  if (how.fill >= 0) H5Pset_fill_value(creation.get(), H5T_NATIVE_UINT16, &value);
  const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
  const Hdf5Handle memory(H5Screate_simple(3, one, nullptr), H5Sclose);
  const Hdf5Handle dataset(H5Dcreate2(made.file(), "/data", how.big_endian ? H5T_STD_U16BE : H5T_STD_U16LE, space.get(),
                                      H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                           H5Dclose);
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, at, nullptr, one, nullptr);
  const auto pixels = counting<std::uint16_t>(kPixels);
  H5Dwrite(dataset.get(), H5T_NATIVE_UINT16, memory.get(), space.get(), H5P_DEFAULT, pixels.data());
  return made.path();
}

bool holes_are_known() {
  const auto path = temporary_file("sparse");
  std::ofstream(path).put('x');
  std::filesystem::resize_file(path, 1 << 20);
  return FileHoles().contain(path, 1 << 19, 1 << 18);
}

void expect_the_middle_one(const std::string& path) {
  SCOPED_TRACE(path);
  const auto source = must(Hdf5Source::open(path, "", kImage, Narrowing::refuse));
  EXPECT_EQ(fill(*source, 2).pixels<std::uint16_t>(), counting<std::uint16_t>(kPixels));
  for (const std::uint64_t absent : {0, 1, 3, 4}) {
    const auto error = fill_error(*source, absent);
    EXPECT_EQ(error.id, "frame.absent");
    EXPECT_THAT(error.what, HasSubstr("frame " + std::to_string(absent) + " of "));
  }
}

TEST(Unwritten, AHoleOfAFileIsNoFrameOfZeros) {
  if (!holes_are_known()) GTEST_SKIP() << "this file system knows no holes";
  expect_the_middle_one(one_of_five("contiguous.h5", {}));
  expect_the_middle_one(one_of_five("early.h5", {.early = true}));
  expect_the_middle_one(one_of_five("early chunks.h5", {.chunked = true, .early = true}));
}

TEST(Unwritten, AFrameOfNothingButTheFillValueThatWasChosenIsAbsent) {
  expect_the_middle_one(one_of_five("filled.h5", {.fill = 9}));
  expect_the_middle_one(one_of_five("filled big.h5", {.fill = 258, .big_endian = true}));
  expect_the_middle_one(one_of_five("filled chunks.h5", {.chunked = true, .early = true, .fill = 65535}));
}

TEST(Unwritten, ZerosThatWereWrittenAreZeros) {
  const auto path = FileWriter(temporary_file("zeros.h5"))
                        .add("/data", {2, kHeight, kWidth}, std::vector<std::uint16_t>(2 * kPixels))
                        .path();
  const auto source = must(Hdf5Source::open(path, "", kImage, Narrowing::refuse));
  EXPECT_EQ(fill(*source, 1).pixels<std::uint16_t>(), std::vector<std::uint16_t>(kPixels));
}

TEST(Unwritten, WhatIsWrittenIsNoHoleAndAFileThatIsNotThereHasNone) {
  const auto path = temporary_file("written");
  std::ofstream(path) << std::string(10000, '\0');
  FileHoles holes, of_none;
  EXPECT_FALSE(holes.contain(path, 0, 10000));
  EXPECT_FALSE(of_none.contain(path + ".not", 0, 10000));
}

}  // namespace
}  // namespace peaknet::feed
