#include "feed/hdf5_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::counting;
using test::FileWriter;
using test::fill;
using test::must;
using test::temporary_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr shm::Geometry kImage{8, 1, 20, 30, PixelType::uint16};
constexpr shm::Geometry kPanels{8, 2, 20, 30, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{20} * 30;

std::unique_ptr<Hdf5Source> open(const std::string& path, const shm::Geometry& geometry,
                                 const std::string& dataset = "", Narrowing narrowing = Narrowing::refuse) {
  return must(Hdf5Source::open(path, dataset, geometry, narrowing));
}
Error open_error(const std::string& path, const shm::Geometry& geometry, const std::string& dataset = "") {
  auto source = Hdf5Source::open(path, dataset, geometry, Narrowing::refuse);
  if (source.ok()) throw std::runtime_error("the file was not refused");
  return source.error();
}

template <class Pixel>
std::vector<Pixel> part(const std::vector<Pixel>& values, std::size_t frame, std::size_t pixels) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(frame * pixels);
  return {begin, begin + static_cast<std::ptrdiff_t>(pixels)};
}

TEST(Hdf5Source, EveryKindOfShapeGivesItsFrames) {
  const auto values = counting<std::uint16_t>(6 * kPixels, 60000);
  const auto path = FileWriter(temporary_file("shapes.h5"))
                        .add("/image", {20, 30}, part(values, 0, kPixels))
                        .add("/stack", {3, 20, 30}, part(values, 0, 3 * kPixels))
                        .add("/slab", {40, 30}, part(values, 0, 2 * kPixels))
                        .add("/event", {2, 20, 30}, part(values, 0, 2 * kPixels))
                        .add("/slabs", {3, 40, 30}, values)
                        .add("/events", {3, 2, 20, 30}, values)
                        .path();
  struct Case {
    const char* dataset;
    shm::Geometry geometry;
    std::uint64_t frames;
  };
  for (const auto& [dataset, geometry, frames] :
       {Case{"/image", kImage, 1}, Case{"/stack", kImage, 3}, Case{"/slab", kPanels, 1}, Case{"/event", kPanels, 1},
        Case{"/slabs", kPanels, 3}, Case{"/events", kPanels, 3}}) {
    const auto source = open(path, geometry, dataset);
    ASSERT_EQ(source->size(), frames) << dataset;
    for (std::uint64_t i = 0; i < frames; ++i) {
      const auto frame = fill(*source, i);
      EXPECT_EQ(frame.pixels<std::uint16_t>(), part(values, i, geometry.pixels())) << dataset << " frame " << i;
      EXPECT_EQ(frame.info.event_id, i);
      EXPECT_EQ(frame.info.timestamp, 0U);
      EXPECT_TRUE(std::isnan(frame.info.photon_energy_ev));
    }
  }
}

TEST(Hdf5Source, ImagesAreFoundAtTheirWellKnownPlaces) {
  int n = 0;
  for (const std::string& place : kImagePlaces) {
    const auto path = FileWriter(temporary_file("place" + std::to_string(n++) + ".h5"))
                          .add("/another/image", {20, 30}, counting<std::uint16_t>(kPixels))
                          .add("/mask_good", {20, 30}, counting<std::uint8_t>(kPixels))
                          .add(place, {1, 20, 30}, counting<std::uint16_t>(kPixels))
                          .path();
    EXPECT_EQ(open(path, kImage)->dataset(), place);
  }
}

TEST(Hdf5Source, TheOnlyImageLikeDatasetIsTakenWhereverItIs) {
  const auto path = FileWriter(temporary_file("only.h5"))
                        .add("/deep/down/here", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                        .add("/peaks", {3, 8}, counting<float>(24))
                        .add("/numbers", {500}, counting<double>(500))
                        .path();
  EXPECT_EQ(open(path, kImage)->dataset(), "/deep/down/here");
}

TEST(Hdf5Source, OfSeveralTheOneThatFitsThePoolIsTaken) {
  const auto path = FileWriter(temporary_file("fits.h5"))
                        .add("/a", {3, 25, 30}, counting<std::uint16_t>(std::size_t{3} * 25 * 30))
                        .add("/b", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                        .path();
  EXPECT_EQ(open(path, kImage)->dataset(), "/b");
}

TEST(Hdf5Source, WhereItIsNotClearAllCandidatesAreListed) {
  const auto path = FileWriter(temporary_file("unclear.h5"))
                        .add("/raw/one", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                        .add("/raw/two", {20, 30}, counting<float>(kPixels))
                        .path();
  const Error error = open_error(path, kImage);
  EXPECT_EQ(error.id, "file.no-images");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("/raw/one uint16 [3,20,30]"), HasSubstr("/raw/two float32 [20,30]"),
                                  HasSubstr("--dataset")));
  EXPECT_THAT(open_error(path, kImage, "/raw/three").text(),
              AllOf(HasSubstr("no dataset /raw/three"), HasSubstr("/raw/one")));
  EXPECT_EQ(open(path, kImage, "/raw/one")->size(), 3U);
}

TEST(Hdf5Source, AnotherShapeThanThePoolsIsRefusedWithBothShapes) {
  const auto path = FileWriter(temporary_file("shape.h5"))
                        .add("/data/data", {3, 21, 30}, counting<std::uint16_t>(std::size_t{3} * 21 * 30))
                        .path();
  const Error error = open_error(path, kImage);
  EXPECT_EQ(error.id, "frame.shape");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("[3,21,30]"), HasSubstr("[1,20,30]"), HasSubstr("pool.shape")));
}

TEST(Hdf5Source, WhatIsNoHdf5FileIsRefused) {
  EXPECT_EQ(open_error(temporary_file("absent.h5"), kImage).id, "file.unreadable");
  const auto path =
      FileWriter(temporary_file("cut.h5")).add("/data/data", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels)).path();
  std::filesystem::resize_file(path, 1500);
  EXPECT_EQ(open_error(path, kImage).id, "file.unreadable");
  EXPECT_EQ(open_error(FileWriter(temporary_file("empty.h5")).path(), kImage).id, "file.no-images");
}

TEST(Hdf5Source, CountsOfAWiderTypeAreConvertedWhileTheyFit) {
  auto values = counting<std::int32_t>(2 * kPixels, 50000);
  values[kPixels + 45] = 70000;
  const auto path = FileWriter(temporary_file("int32.h5")).add("/data/data", {2, 20, 30}, values).path();
  const auto source = open(path, kImage);
  EXPECT_THAT(fill(*source, 0).pixels<std::uint16_t>(), ::testing::ElementsAreArray(part(values, 0, kPixels)));
  const Error error = test::fill_error(*source, 1);
  EXPECT_EQ(error.id, "frame.value");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("frame 1 of"), HasSubstr("panel 0, y 1, x 15"), HasSubstr("70000"),
                                  HasSubstr("pool.dtype to float32")));
}

TEST(Hdf5Source, FloatsGoIntoAnIntegerPoolOnlyIfTheyAreWholeNumbers) {
  const auto whole =
      FileWriter(temporary_file("whole.h5")).add("/data/data", {20, 30}, counting<float>(kPixels)).path();
  EXPECT_THAT(fill(*open(whole, kImage), 0).pixels<std::uint16_t>(),
              ::testing::ElementsAreArray(counting<std::uint16_t>(kPixels)));
  auto values = counting<float>(kPixels);
  values[3] = 2.5F;
  const auto broken = FileWriter(temporary_file("broken.h5")).add("/data/data", {20, 30}, values).path();
  EXPECT_THAT(test::fill_error(*open(broken, kImage), 0).text(),
              AllOf(HasSubstr("2.5"), HasSubstr("pool.dtype to float32")));
}

TEST(Hdf5Source, Float64IsRoundedOnlyOnRequest) {
  std::vector<double> values(kPixels, 0.1);
  const auto path = FileWriter(temporary_file("float64.h5")).add("/data/data", {20, 30}, values).path();
  shm::Geometry pool = kImage;
  pool.pixel_type = PixelType::float32;
  EXPECT_THAT(test::fill_error(*open(path, pool), 0).text(), HasSubstr("--narrow"));
  EXPECT_EQ(fill(*open(path, pool, "", Narrowing::allow), 0).pixels<float>(), std::vector<float>(kPixels, 0.1F));
}

TEST(Hdf5Source, CompressedAndMultiFrameChunksAreRead) {
  const auto values = counting<std::uint16_t>(5 * kPixels, 60000);
  const auto path = FileWriter(temporary_file("chunks.h5"))
                        .add("/gzip", {5, 20, 30}, values, {.chunk = {1, 20, 30}, .shuffle = true, .gzip = 4})
                        .add("/thick", {5, 20, 30}, values, {.chunk = {4, 20, 30}, .gzip = 1})
                        .add("/tiles", {5, 20, 30}, values, {.chunk = {2, 8, 7}, .gzip = 1, .fletcher32 = true})
                        .path();
  for (const char* dataset : {"/gzip", "/thick", "/tiles"}) {
    const auto source = open(path, kImage, dataset);
    for (std::uint64_t i = 0; i < 5; ++i)
      EXPECT_EQ(fill(*source, i).pixels<std::uint16_t>(), part(values, i, kPixels)) << dataset;
  }
}

TEST(Hdf5Source, EnergyAndTimeComeFromTheirPlacesBesideTheImages) {
  const auto images = counting<std::uint16_t>(3 * kPixels);
  const auto lcls = FileWriter(temporary_file("lcls.cxi"))
                        .add("/entry_1/data_1/data", {3, 20, 30}, images)
                        .add("/LCLS/photon_energy_eV", {3}, std::vector<double>{9500.0, 0.0, 9501.5})
                        .add("/LCLS/machineTime", {3}, std::vector<std::int32_t>{1362118138, 1362118139, 0})
                        .add("/LCLS/machineTimeNanoSeconds", {3}, std::vector<std::int32_t>{401000000, 5, 0})
                        .path();
  const auto source = open(lcls, kImage);
  EXPECT_DOUBLE_EQ(fill(*source, 0).info.photon_energy_ev, 9500.0);
  EXPECT_TRUE(std::isnan(fill(*source, 1).info.photon_energy_ev));
  EXPECT_DOUBLE_EQ(fill(*source, 2).info.photon_energy_ev, 9501.5);
  EXPECT_EQ(fill(*source, 0).info.timestamp, std::uint64_t{1362118138} << 32 | 401000000U);
  EXPECT_EQ(fill(*source, 1).info.timestamp, std::uint64_t{1362118139} << 32 | 5U);
  EXPECT_EQ(fill(*source, 2).info.timestamp, 0U);

  const auto cxi =
      FileWriter(temporary_file("si.cxi"))
          .add("/entry_1/data_1/data", {3, 20, 30}, images)
          .add("/entry_1/instrument_1/source_1/energy", {}, std::vector<double>{1.52206780223e-15})
          .add("/LCLS/detector_1/timestamp", {3}, std::vector<std::uint64_t>{7, 8, std::uint64_t{1'700'000'009} << 32})
          .path();
  const auto other = open(cxi, kImage);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_NEAR(fill(*other, i).info.photon_energy_ev, 9500.0, 1e-3);
  EXPECT_EQ(fill(*other, 2).info.timestamp, std::uint64_t{1'700'000'009} << 32);
}

TEST(Hdf5Source, FiducialAndEncoderValueComeAlongAndWhatIsNotKnownIsNotZero) {
  const auto images = counting<std::uint16_t>(3 * kPixels);
  const auto path = FileWriter(temporary_file("fiducials.cxi"))
                        .add("/entry_1/data_1/data", {3, 20, 30}, images)
                        .add("/LCLS/fiducial", {3}, std::vector<std::int32_t>{0, -1, 131039})
                        .add("/LCLS/detector_1/EncoderValue", {3}, std::vector<double>{-572.5, std::nan(""), 0.0})
                        .path();
  const auto source = open(path, kImage);
  EXPECT_EQ(fill(*source, 0).info.fiducial, 0U);
  EXPECT_EQ(fill(*source, 1).info.fiducial, shm::kNoFiducial);
  EXPECT_EQ(fill(*source, 2).info.fiducial, 131039U);
  EXPECT_EQ(fill(*source, 0).info.encoder_value, -572.5);
  EXPECT_TRUE(std::isnan(fill(*source, 1).info.encoder_value));
  EXPECT_EQ(fill(*source, 2).info.encoder_value, 0.0);

  const auto bare =
      open(FileWriter(temporary_file("bare.cxi")).add("/entry_1/data_1/data", {3, 20, 30}, images).path(), kImage);
  EXPECT_EQ(fill(*bare, 0).info.fiducial, shm::kNoFiducial);
  EXPECT_TRUE(std::isnan(fill(*bare, 0).info.encoder_value));
}

TEST(Hdf5Source, ValuesThatAreNotOnePerFrameAreNotUsed) {
  const auto path = FileWriter(temporary_file("mismatch.cxi"))
                        .add("/entry_1/data_1/data", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                        .add("/LCLS/photon_energy_eV", {2}, std::vector<double>{9500.0, 9500.0})
                        .add("/LCLS/detector_1/timestamp", {5}, counting<std::uint64_t>(5))
                        .path();
  const auto frame = fill(*open(path, kImage), 2);
  EXPECT_TRUE(std::isnan(frame.info.photon_energy_ev));
  EXPECT_EQ(frame.info.timestamp, 0U);
}

TEST(Hdf5Source, ANamedFileMayLinkToOthers) {
  const auto images = temporary_file("linked_images.h5");
  FileWriter(images).add("/raw", {20, 30}, counting<std::uint16_t>(kPixels)).path();
  const auto path = FileWriter(temporary_file("master.h5"))
                        .add("/entry/data/notes", {3}, counting<double>(3))
                        .add_external_link("/entry/data/data", images, "/raw")
                        .path();
  EXPECT_EQ(fill(*open(path, kImage), 0).pixels<std::uint16_t>(), counting<std::uint16_t>(kPixels));
}

}  // namespace
}  // namespace peaknet::feed
