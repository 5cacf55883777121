#include "feed/decoders/hdf5_image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include <array>
#include <cmath>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::counting;
using test::FileWriter;
using test::fill;
using test::must;
using test::Storage;
using test::temporary_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr shm::Geometry kFloats{8, 2, 16, 20, PixelType::float32};
constexpr std::size_t kEvent = std::size_t{2} * 16 * 20;
using Bytes = std::vector<std::byte>;

std::vector<float> part(const std::vector<float>& values, std::size_t event) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(event * kEvent);
  return {begin, begin + static_cast<std::ptrdiff_t>(kEvent)};
}
std::vector<float> images() { return counting<float>(3 * kEvent, 10007); }

Error refused(const Bytes& message, const shm::Geometry& geometry = kFloats) {
  Hdf5ImageDecoder decoder({});
  auto opened = decoder.open(message, geometry);
  if (opened.ok()) throw std::runtime_error("the message was not refused");
  return opened.error();
}

TEST(Hdf5Image, EveryPlainStorageOfTheOldNamesIsRead) {
  const std::vector<Storage> storages = {{},
                                         {.chunk = {1, 2, 16, 20}},
                                         {.chunk = {1, 2, 16, 20}, .gzip = 6},
                                         {.chunk = {1, 2, 16, 20}, .shuffle = true, .gzip = 6},
                                         {.chunk = {1, 2, 16, 20}, .shuffle = true},
                                         {.chunk = {2, 2, 16, 20}, .shuffle = true, .gzip = 1},
                                         {.compact = true}};
  for (std::size_t i = 0; i < storages.size(); ++i) {
    Storage column = storages[i];
    if (!column.chunk.empty()) column.chunk = {column.chunk.front()};
    const auto message =
        FileWriter(temporary_file("old.h5"))
            .add("/data/data", {3, 2, 16, 20}, images(), storages[i])
            .add("/data/timestamp", {3}, std::vector<std::uint64_t>{std::uint64_t{1'700'000'009} << 32, 0, 7}, column)
            .add("/data/wavelength", {3}, std::vector<double>{0.127, std::nan(""), 0.0}, column)
            .bytes();
    Hdf5ImageDecoder decoder({});
    const auto source = must(decoder.open(message, kFloats));
    ASSERT_EQ(source->size(), 3U) << i;
    for (const std::uint64_t event : {2U, 0U, 1U, 1U})
      EXPECT_EQ(fill(*source, event).pixels<float>(), part(images(), event)) << i;
    EXPECT_EQ(fill(*source, 0).info.timestamp, std::uint64_t{1'700'000'009} << 32);
    EXPECT_NEAR(fill(*source, 0).info.photon_energy_ev, 9762.5, 0.5);
    EXPECT_TRUE(std::isnan(fill(*source, 1).info.photon_energy_ev));
    EXPECT_TRUE(std::isnan(fill(*source, 2).info.photon_energy_ev));
  }
}

TEST(Hdf5Image, FlatNamesAndTheNamesOfPvsAreFound) {
  const auto message = FileWriter(temporary_file("flat.h5"))
                           .add("/epix10k2M.raw", {3, 2, 16, 20}, images())
                           .add("/timestamp", {3}, std::vector<double>{1'700'000'005.5, 1'700'000'006.0, -999.0})
                           .add("/SIOC:SYS0:ML00:AO192", {3}, std::vector<float>{0.13F, 0.13F, 0.13F})
                           .bytes();
  Hdf5ImageDecoder decoder({});
  const auto source = must(decoder.open(message, kFloats));
  EXPECT_EQ(fill(*source, 0).info.timestamp, std::uint64_t{1'700'000'005} << 32 | 500'000'000U);
  EXPECT_EQ(fill(*source, 2).info.timestamp, 0U);
  EXPECT_NEAR(fill(*source, 1).info.photon_energy_ev, 9537.2, 0.5);
}

TEST(Hdf5Image, MergedPanelsAreGatheredFromTheirRows) {
  for (const Storage& storage : {Storage{}, Storage{.chunk = {1, 1, 16, 20}, .gzip = 1}}) {
    const auto message =
        FileWriter(temporary_file("merged.h5")).add("/detector_data", {6, 1, 16, 20}, images(), storage).bytes();
    Hdf5ImageDecoder decoder({});
    const auto source = must(decoder.open(message, kFloats));
    ASSERT_EQ(source->size(), 3U);
    for (std::uint64_t event = 0; event < 3; ++event)
      EXPECT_EQ(fill(*source, event).pixels<float>(), part(images(), event));
  }
}

TEST(Hdf5Image, SeveralImagesWithoutAKnownNameAreRefusedWithTheirNames) {
  const auto message = FileWriter(temporary_file("two.h5"))
                           .add("/first", {1, 2, 16, 20}, counting<float>(640))
                           .add("/second", {1, 2, 16, 20}, counting<float>(640))
                           .bytes();
  EXPECT_EQ(refused(message).id, "message.missing-field");
  EXPECT_THAT(refused(message).text(), AllOf(HasSubstr("/first, /second"), HasSubstr("--image-field")));
}

TEST(Hdf5Image, FiltersThatAreNotBuiltInAreRefusedByName) {
  const auto message = FileWriter(temporary_file("fletcher.h5"))
                           .add("/data/data", {3, 2, 16, 20}, images(), {.chunk = {1, 2, 16, 20}, .fletcher32 = true})
                           .bytes();
  EXPECT_EQ(refused(message).id, "hdf5.filter");
  EXPECT_THAT(refused(message).text(), HasSubstr("fletcher32"));
}

TEST(Hdf5Image, ChunksThatCutImagesAreRefused) {
  const auto message = FileWriter(temporary_file("tiles.h5"))
                           .add("/data/data", {3, 2, 16, 20}, images(), {.chunk = {1, 1, 16, 20}})
                           .bytes();
  EXPECT_EQ(refused(message).id, "hdf5.layout");
}

TEST(Hdf5Image, AMessageMayNotMakeUsOpenOtherFiles) {
  const auto secret = temporary_file("secret.h5");
  FileWriter(secret).add("/data", {3, 2, 16, 20}, images()).path();
  const auto linked = FileWriter(temporary_file("link.h5"))
                          .add("/data/timestamp", {3}, counting<std::uint64_t>(3))
                          .add_external_link("/data/data", secret, "/data")
                          .bytes();
  EXPECT_EQ(refused(linked).id, "message.bad-field");
}

TEST(Hdf5Image, WhatStandsWhereTheImagesMustBeIsNeverPassedOverForAPictureBesideIt) {
  const auto with = [](auto add) {
    FileWriter writer(temporary_file("beside.h5"));
    writer.add("/picture", {1, 2, 16, 20}, counting<float>(640));
    add(writer);
    return writer.bytes();
  };
  const auto link = [](FileWriter& w) {
    H5Lcreate_soft("/gone", w.file(), "/detector_data", H5P_DEFAULT, H5P_DEFAULT);
  };
  const auto text = [](FileWriter& w) { w.add_texts("/detector_data", {"lost"}); };
  const auto outside = [](FileWriter& w) { w.add_external_link("/detector_data", "other.h5", "/data"); };
  EXPECT_EQ(refused(with(link)).id, "message.bad-field");
  EXPECT_EQ(refused(with(text)).id, "message.bad-field");
  EXPECT_EQ(refused(with(outside)).id, "message.bad-field");
  // Under no name that is known: what cannot be read may be the images.
  const auto hidden = [](FileWriter& w) { w.add_external_link("/frames", "other.h5", "/data"); };
  EXPECT_THAT(refused(with(hidden)).text(), AllOf(HasSubstr("/frames"), HasSubstr("/picture")));
}

TEST(Hdf5Image, ShapesAndFieldsThatDoNotFitAreRefused) {
  const auto shape =
      FileWriter(temporary_file("shape.h5")).add("/data/data", {3, 2, 16, 21}, counting<float>(2016)).bytes();
  EXPECT_EQ(refused(shape).id, "frame.shape");
  const auto field = FileWriter(temporary_file("field.h5"))
                         .add("/data/data", {3, 2, 16, 20}, images())
                         .add("/data/timestamp", {6}, counting<std::uint64_t>(6))
                         .bytes();
  EXPECT_EQ(refused(field).id, "message.bad-field");
}

TEST(Hdf5Image, AnImageIsNotThrownAwayForItsFacts) {
  const auto open = [](const Bytes& message) {
    Hdf5ImageDecoder decoder({});
    const auto source = must(decoder.open(message, kFloats));
    EXPECT_EQ(fill(*source, 2).pixels<float>(), part(images(), 2));
    return fill(*source, 2).info;
  };
  const auto with = [&](const char* name, auto add) {
    FileWriter writer(temporary_file(name));
    writer.add("/data", {3, 2, 16, 20}, images());
    add(writer);
    return open(writer.bytes());
  };
  // One for all: a scalar, an array of one.
  EXPECT_NEAR(with("scalar.h5", [](auto& w) { w.add("/wavelength", {}, std::vector<double>{0.13}); }).photon_energy_ev,
              9537.2, 0.1);
  EXPECT_NEAR(with("one.h5", [](auto& w) { w.add("/wavelength", {1}, std::vector<double>{0.13}); }).photon_energy_ev,
              9537.2, 0.1);
  EXPECT_EQ(
      with("time.h5", [](auto& w) { w.add("/timestamp", {}, std::vector<std::uint64_t>{1'700'000'007ULL << 32}); })
          .timestamp,
      1'700'000'007ULL << 32);
  // Two for three events: nobody knows whose.
  EXPECT_TRUE(std::isnan(with("two.h5", [](auto& w) {
                           w.add("/wavelength", {2}, std::vector<double>{0.13, 0.14});
                         }).photon_energy_ev));
  EXPECT_EQ(with("texts.h5", [](auto& w) { w.add_texts("/timestamp", std::vector<std::string>(3, "1700000000.5")); })
                .timestamp,
            1700000000ULL << 32 | 5U);
}

TEST(Hdf5Image, BigEndianImagesAndTimesAreTaken) {
  Hdf5ImageDecoder decoder({});
  const auto message =
      FileWriter(temporary_file("big.h5"))
          .add_as("/data/data", {3, 2, 16, 20}, H5T_IEEE_F32BE, images())
          .add_as("/data/timestamp", {3}, H5T_STD_U64BE, std::vector<std::uint64_t>(3, 1'700'000'009ULL << 32))
          .bytes();
  const auto source = must(decoder.open(message, kFloats));
  EXPECT_EQ(fill(*source, 1).pixels<float>(), part(images(), 1));
  EXPECT_EQ(fill(*source, 1).info.timestamp, 1'700'000'009ULL << 32);
}

TEST(Hdf5Image, ADamagedChunkCostsItsEventsAndNoOthers) {
  auto message = FileWriter(temporary_file("damaged.h5"))
                     .add("/data/data", {3, 2, 16, 20}, images(), {.chunk = {1, 2, 16, 20}, .gzip = 6})
                     .bytes();
  // The second chunk: two zlib heads (78 5e) come before it.
  std::vector<std::size_t> heads;
  for (std::size_t i = 0; i + 1 < message.size(); ++i) {
    if (message[i] == std::byte{0x78} && message[i + 1] == std::byte{0x9c}) heads.push_back(i);
  }
  ASSERT_GE(heads.size(), 3U);
  message[heads[1] + 40] ^= std::byte{0xff};
  Hdf5ImageDecoder decoder({});
  const auto source = must(decoder.open(message, kFloats));
  EXPECT_EQ(fill(*source, 0).pixels<float>(), part(images(), 0));
  EXPECT_EQ(test::fill_error(*source, 1).id, "hdf5.damaged");
  EXPECT_EQ(fill(*source, 2).pixels<float>(), part(images(), 2));
}

TEST(Hdf5Image, TruncatedMessagesAreRefused) {
  const auto whole = FileWriter(temporary_file("cut.h5"))
                         .add("/data/data", {3, 2, 16, 20}, images(), {.chunk = {1, 2, 16, 20}, .gzip = 6})
                         .bytes();
  for (std::size_t bytes = 8; bytes < whole.size(); bytes += 97) {
    EXPECT_EQ(refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes))).id, "hdf5.damaged")
        << bytes;
  }
}

TEST(Hdf5Image, AMessageIsReadInPlaceAndNotChanged) {
  const auto message = FileWriter(temporary_file("const.h5")).add("/data/data", {3, 2, 16, 20}, images()).bytes();
  const auto copy = message;
  Hdf5ImageDecoder decoder({});
  for (int i = 0; i < 3; ++i) fill(*must(decoder.open(message, kFloats)), 1);
  EXPECT_EQ(message, copy);
}

TEST(Hdf5Image, TimesAsTextsAreUnderstoodAndTheRawImageWins) {
  const Hdf5Guard guard;
  const Hdf5Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(text.get(), 22);
  const auto path = temporary_file("texts.h5");
  const auto raw = counting<float>(kEvent, 7);
  FileWriter(path)
      .add("/detector_data", {1, 2, 16, 20}, std::vector<float>(kEvent, 0.5F))
      .add("/detector_data_raw", {1, 2, 16, 20}, raw)
      .path();
  {
    const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    const hsize_t one = 1;
    const Hdf5Handle space(H5Screate_simple(1, &one, nullptr), H5Sclose);
    const Hdf5Handle times(
        H5Dcreate2(file.get(), "timestamp", text.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
    std::array<char, 22> value{"1362118138.401000123"};
    ASSERT_GE(H5Dwrite(times.get(), text.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.data()), 0);
  }
  DecodeOptions options;
  options.normalised = true;
  Hdf5ImageDecoder decoder(options);
  const auto message = test::read_file(path);
  const auto frame = fill(*must(decoder.open(message, kFloats)), 0);
  EXPECT_EQ(frame.pixels<float>(), raw);
  EXPECT_EQ(frame.info.flags & shm::kFlagNormalised, 0U);
  EXPECT_EQ(frame.info.timestamp, std::uint64_t{1362118138} << 32 | 401'000'123U);
}

}  // namespace
}  // namespace peaknet::feed
