// Which dataset is taken for the images where nobody named one: never one beside what cannot be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "feed/hdf5_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::counting;
using test::FileWriter;
using test::must;
using test::temporary_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr shm::Geometry kImage{8, 1, 20, 30, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{20} * 30;

using Make = std::function<void(FileWriter&)>;

Result<std::unique_ptr<Hdf5Source>> open(const std::string& path) {
  return Hdf5Source::open(path, "", kImage, Narrowing::refuse);
}
Error open_error(const std::string& path) {
  auto opened = open(path);
  if (opened.ok()) throw std::runtime_error("the file was not refused: it is played from " + (*opened)->dataset());
  return opened.error();
}

// A file of what `make` makes, and of a picture whose form is that of the images.
std::string beside_a_picture(const Make& make) {
  FileWriter writer(temporary_file("beside.h5"));
  writer.add("/picture", {20, 30}, counting<std::uint16_t>(kPixels));
  make(writer);
  return writer.path();
}

// `count` elements of a type that is no plain number; what is in them does not matter.
Make typed(const std::string& path, std::vector<hsize_t> dims, const std::function<hid_t()>& type) {
  return [=](FileWriter& writer) {
    const Hdf5Handle made(type(), H5Tclose);
    std::size_t bytes = H5Tget_size(made.get());
    for (const hsize_t n : dims) bytes *= n;
    writer.add_as(path, dims, made.get(), std::vector<std::uint8_t>(bytes));
  };
}
hid_t complex_numbers() {
  const hid_t type = H5Tcreate(H5T_COMPOUND, 8);
  H5Tinsert(type, "r", 0, H5T_IEEE_F32LE);
  H5Tinsert(type, "i", 4, H5T_IEEE_F32LE);
  return type;
}
hid_t truth() {
  const hid_t type = H5Tenum_create(H5T_STD_I8LE);
  const signed char no = 0, yes = 1;
  H5Tenum_insert(type, "FALSE", &no);
  H5Tenum_insert(type, "TRUE", &yes);
  return type;
}
hid_t twelve_bits() {
  const hid_t type = H5Tcopy(H5T_STD_U16LE);
  H5Tset_precision(type, 12);
  return type;
}
hid_t frames() {
  const std::array<hsize_t, 2> dims = {20, 30};
  return H5Tarray_create2(H5T_STD_U16LE, 2, dims.data());
}

void soft(FileWriter& writer, const char* path, const char* target) {
  ASSERT_GE(H5Lcreate_soft(target, writer.file(), path, H5P_DEFAULT, H5P_DEFAULT), 0);
}

TEST(Hdf5Search, WhatMayHideTheImagesIsNeverPassedOverForAPictureBesideIt) {
  const auto other = FileWriter(temporary_file("of_the_run.h5"))
                         .add("/frames", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                         .path();
  const std::vector<std::pair<const char*, Make>> cases = {
      {"dead external link", [](auto& w) { w.add_external_link("/frames", "gone.h5", "/frames"); }},
      {"external link", [&](auto& w) { w.add_external_link("/frames", other, "/frames"); }},
      {"dead soft link", [](auto& w) { soft(w, "/frames", "/nowhere"); }},
      {"links in a ring", [](auto& w) { soft(w, "/frames", "/again"), soft(w, "/again", "/frames"); }},
      {"complex", typed("/frames", {3, 20, 30}, complex_numbers)},
      {"bool", typed("/frames", {3, 20, 30}, truth)},
      {"12 bits", typed("/frames", {3, 20, 30}, twelve_bits)},
      {"array elements", typed("/frames", {3}, frames)},
      {"five dimensions", [](auto& w) {
         w.add("/frames", {1, 1, 3, 20, 30}, counting<std::uint16_t>(3 * kPixels));
       }}};
  for (const auto& [name, make] : cases) {
    SCOPED_TRACE(name);
    const Error error = open_error(beside_a_picture(make));
    EXPECT_EQ(error.id, "file.no-images");
    EXPECT_THAT(error.text(), AllOf(HasSubstr("/frames"), HasSubstr("/picture"), HasSubstr("--dataset")));
  }
}

TEST(Hdf5Search, WhatStandsAtAPlaceOfImagesAndIsNoneEndsTheSearch) {
  const std::vector<std::pair<const char*, Make>> cases = {
      {"no values",
       [](auto& w) {
         const Hdf5Handle space(H5Screate(H5S_NULL), H5Sclose);
         H5Dclose(H5Dcreate2(w.file(), "/data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
       }},
      {"one value", [](auto& w) { w.add("/data", {}, std::vector<std::uint16_t>{3}); }},
      {"flat", [](auto& w) { w.add("/data", {3 * kPixels}, counting<std::uint16_t>(3 * kPixels)); }},
      {"array elements", typed("/data", {3}, frames)}};
  for (const auto& [name, make] : cases) {
    SCOPED_TRACE(name);
    EXPECT_THAT(open_error(beside_a_picture(make)).text(), AllOf(HasSubstr("/data"), HasSubstr("--dataset")));
  }
}

TEST(Hdf5Search, WhatTheOnlyCandidateCannotBeReadForIsSaid) {
  FileWriter link(temporary_file("only_link.h5"));
  EXPECT_THAT(open_error(link.add_external_link("/frames", "gone.h5", "/x").path()).text(),
              AllOf(HasSubstr("/x of gone.h5"), HasSubstr("unable to open external file")));
  FileWriter complex(temporary_file("only_complex.h5"));
  typed("/frames", {3, 20, 30}, complex_numbers)(complex);
  EXPECT_EQ(open_error(complex.path()).id, "frame.type");
}

TEST(Hdf5Search, AnAverageOrASumIsNeverTheImageByItself) {
  for (const char* name :
       {"/average", "/run_mean", "/Sum", "/std.all", "/max", "/images_projection", "/preview", "/0/thumbnail"}) {
    FileWriter writer(temporary_file("average.h5"));
    EXPECT_EQ(open_error(writer.add(name, {20, 30}, counting<std::uint16_t>(kPixels)).path()).id, "file.no-images")
        << name;
  }
  for (const char* name : {"/summit", "/meander", "/standard"}) {
    FileWriter writer(temporary_file("no_average.h5"));
    EXPECT_TRUE(open(writer.add(name, {20, 30}, counting<std::uint16_t>(kPixels)).path()).ok()) << name;
  }
}

TEST(Hdf5Search, AnObjectOfManyNamesIsOneCandidate) {
  FileWriter writer(temporary_file("many_names.h5"));
  writer.add("/run/frames", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels));
  ASSERT_GE(H5Lcreate_hard(writer.file(), "/run", writer.file(), "/run/again", H5P_DEFAULT, H5P_DEFAULT), 0);
  soft(writer, "/short", "/run/frames");
  EXPECT_EQ(must(open(writer.path()))->size(), 3U);
}

TEST(Hdf5Search, AFileOfThousandsOfNamesIsLookedThroughToItsEnd) {
  FileWriter writer(temporary_file("thousands.h5"));
  for (int i = 0; i < 1500; ++i) writer.add("/number_" + std::to_string(i), {1}, std::vector<std::uint8_t>{1});
  writer.add("/" + std::string(400, 'x'), {3, 20, 30}, counting<std::uint16_t>(3 * kPixels));
  EXPECT_EQ(must(open(writer.path()))->size(), 3U);
}

TEST(Hdf5Search, TwoDataFilesOfOneNumberAreNotOne) {
  FileWriter writer(temporary_file("numbers_master.h5"));
  for (const char* name : {"/entry/data/data_000001", "/entry/data/data_1", "/entry/data/data_000002"})
    writer.add(name, {1, 20, 30}, counting<std::uint16_t>(kPixels));
  EXPECT_THAT(open_error(writer.path()).text(), AllOf(HasSubstr("data_000001"), HasSubstr("data_1")));
}

TEST(Hdf5Search, ALinkToAPipeIsRefusedAndNotWaitedFor) {
  const auto pipe = temporary_file("pipe.h5");
  ASSERT_EQ(mkfifo(std::string(pipe).c_str(), 0600), 0);
  for (const std::string group : {"/entry/data", "/run"}) {
    FileWriter writer(temporary_file("links_to_a_pipe.h5"));
    writer.add(group + "/n", {1}, counting<std::uint16_t>(1)).add_external_link(group + "/data", "pipe.h5", "/data");
    EXPECT_THAT(open_error(writer.path()).text(), AllOf(HasSubstr("/data of pipe.h5"), HasSubstr("a pipe"))) << group;
  }
  FileWriter fact(temporary_file("fact.h5"));
  fact.add("/data", {20, 30}, counting<std::uint16_t>(kPixels)).add("/LCLS/n", {1}, counting<std::uint16_t>(1));
  fact.add_external_link("/LCLS/photon_energy_eV", "pipe.h5", "/energy");
  EXPECT_TRUE(open(fact.path()).ok()) << "the image goes on";
}

}  // namespace
}  // namespace peaknet::feed
