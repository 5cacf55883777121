#include "feed/decoders/simplon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::CborWriter;
using test::counting;
using test::fill;
using test::must;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr shm::Geometry kFrames{8, 2, 65, 70, PixelType::float32};
constexpr std::size_t kPixels = std::size_t{2} * 65 * 70;  // two blocks, and a rest that eight does not divide
constexpr std::uint64_t kTime = std::uint64_t{1362118138} << 32 | 401'000'000U;

template <class Number>
Bytes packed() {
  return test::pack_bitshuffle(test::bytes_of(counting<Number>(kPixels, 1009)), sizeof(Number), 4096);
}
CborWriter old_image() {
  return CborWriter()
      .text("type", "image")
      .number("run", 14)
      .bytes("compressed_data", packed<double>())
      .text("dtype", "float64")
      .number("timestamp", kTime);
}
CborWriter new_image() {
  return CborWriter()
      .text("type", "image")
      .number("run_id", 15)
      .bytes("compressed_data", packed<float>())
      .number("timestamp", kTime)
      .text("image_dtype", "float32");
}
Error refused(const Bytes& message, const shm::Geometry& geometry = kFrames) {
  SimplonDecoder decoder({});
  const auto opened = decoder.open(message, geometry);
  return opened.ok() ? test::fill_error(**opened, 0) : opened.error();
}

TEST(Simplon, ImagesOfBothDialectsAreReadWithoutAnyStart) {
  SimplonDecoder decoder({});
  const auto expected = counting<float>(kPixels, 1009);
  const auto first = old_image().real("photon_energy", 9763.0).message('m');
  auto frame = fill(*must(decoder.open(first, kFrames)), 0);
  EXPECT_EQ(frame.pixels<float>(), expected);
  EXPECT_EQ(frame.info.timestamp, kTime);
  EXPECT_TRUE(std::isnan(frame.info.photon_energy_ev));  // of the electrons, in MeV
  EXPECT_EQ(frame.info.source_run_id(), "14");
  const auto second = new_image().number("photon_energy", 0).real("photon_wavelength", 0.127).message();
  frame = fill(*must(decoder.open(second, kFrames)), 0);
  EXPECT_EQ(frame.pixels<float>(), expected);
  EXPECT_NEAR(frame.info.photon_energy_ev, 9762.5, 0.5);
  EXPECT_EQ(frame.info.source_run_id(), "15");
  EXPECT_EQ(decoder.news().kind, RunBoundary::Kind::none);
}

// main and v0.8.0 of lclstreamer: photon_energy is that of the electron beam, in MeV.
TEST(Simplon, TheElectronsEnergyOfTheOldDialectIsNotThatOfThePhotons) {
  const auto message = old_image().real("photon_energy", 14230.5).message('m');
  SimplonDecoder decoder({});
  EXPECT_TRUE(std::isnan(fill(*must(decoder.open(message, kFrames)), 0).info.photon_energy_ev));
  DecodeOptions options;
  options.simplon_energy = true;
  SimplonDecoder told(options);
  EXPECT_EQ(fill(*must(told.open(message, kFrames)), 0).info.photon_energy_ev, 14230.5);
  const auto pulse = old_image().real("photon_energy", 14230.5).real("photon_wavelength", 0.127).message('m');
  EXPECT_NEAR(fill(*must(decoder.open(pulse, kFrames)), 0).info.photon_energy_ev, 9762.5, 0.5);
  const auto new_one = new_image().real("photon_energy", 9763.0).message();
  EXPECT_EQ(fill(*must(decoder.open(new_one, kFrames)), 0).info.photon_energy_ev, 9763.0);
}

TEST(Simplon, WhatAnImageDoesNotSayStaysUnknown) {
  SimplonDecoder decoder({});
  const auto message = CborWriter()
                           .text("type", "image")
                           .bytes("compressed_data", packed<std::int32_t>())
                           .text("dtype", "int32")
                           .null("photon_energy")
                           .message('m');
  const auto frame = fill(*must(decoder.open(message, kFrames)), 0);
  EXPECT_EQ(frame.pixels<float>(), counting<float>(kPixels, 1009));
  EXPECT_EQ(frame.info.timestamp, 0U);
  EXPECT_TRUE(std::isnan(frame.info.photon_energy_ev));
  EXPECT_EQ(frame.info.source_run_id(), "");
}

TEST(Simplon, StartAndEndAreNewsAndNoFrames) {
  SimplonDecoder decoder({});
  const auto start = CborWriter()
                         .text("type", "start")
                         .text("run_id", "lysozyme-3")
                         .text("shape", "2x65x70")
                         .text("algorithm", "bitshuffle-lz4")
                         .list("axis", {0, 1, 0})
                         .message();
  EXPECT_EQ(must(decoder.open(start, kFrames))->size(), 0U);
  EXPECT_EQ(decoder.news().kind, RunBoundary::Kind::start);
  EXPECT_EQ(decoder.news().run, "lysozyme-3");
  for (const char* type : {"stop", "end"}) {
    const auto end = CborWriter().text("type", type).number("run", 3).message('c');
    EXPECT_EQ(must(decoder.open(end, kFrames))->size(), 0U);
    EXPECT_EQ(decoder.news().kind, RunBoundary::Kind::end);
    EXPECT_EQ(decoder.news().run, "3");
  }
}

TEST(Simplon, ARunThatCannotBeReadIsRefusedAtItsStart) {
  const auto start = [](const std::string& shape, const std::string& algorithm) {
    return CborWriter().text("type", "start").text("shape", shape).text("algorithm", algorithm).message('c');
  };
  EXPECT_EQ(refused(start("2x65x71", "bitshuffle-lz4")).id, "frame.shape");
  EXPECT_EQ(refused(start("3x2x65x70", "bitshuffle-lz4")).id, "frame.shape");
  for (const char* shape : {"", "2x", "x", "2x65x", "ax65x70", "2,65,70", "1x1x1x1x1", "99999999999999999999x2"})
    EXPECT_EQ(refused(start(shape, "bitshuffle-lz4")).id, "message.bad-field") << shape;
  EXPECT_THAT(refused(start("2x65x70", "bszstd")).text(), HasSubstr("bszstd"));
}

TEST(Simplon, ImagesThatCannotBeUsedAreRefusedByCause) {
  EXPECT_EQ(refused(CborWriter().text("type", "image").text("dtype", "float32").message('m')).id,
            "message.missing-field");
  EXPECT_EQ(refused(CborWriter().text("type", "image").bytes("compressed_data", {}).message('m')).id,
            "message.missing-field");
  EXPECT_EQ(
      refused(
          CborWriter().text("type", "image").text("compressed_data", "no bytes").text("dtype", "float32").message('m'))
          .id,
      "message.missing-field");
  EXPECT_EQ(refused(CborWriter()
                        .text("type", "image")
                        .bytes("compressed_data", packed<float>())
                        .text("dtype", "complex64")
                        .message('m'))
                .id,
            "message.bad-field");
  EXPECT_EQ(refused(CborWriter().number("type", 3).message('m')).id, "message.bad-field");
  EXPECT_EQ(refused(CborWriter().text("type", "series").message('m')).id, "simplon.unsupported");
  // Of another type or size than it says.
  EXPECT_EQ(refused(CborWriter()
                        .text("type", "image")
                        .bytes("compressed_data", packed<float>())
                        .text("dtype", "float64")
                        .message('m'))
                .id,
            "simplon.damaged");
  shm::Geometry smaller = kFrames;
  smaller.width = 64;
  EXPECT_EQ(refused(old_image().message('m'), smaller).id, "simplon.damaged");
}

TEST(Simplon, EveryTruncationIsRefused) {
  const auto message = CborWriter()
                           .text("type", "image")
                           .bytes("compressed_data", test::pack_bitshuffle(Bytes(std::size_t{2} * 8 * 9 * 4), 4, 4096))
                           .text("dtype", "float32")
                           .message('m');
  const shm::Geometry small{8, 2, 8, 9, PixelType::float32};
  for (std::size_t size = 1; size < message.size(); ++size) {
    SimplonDecoder decoder({});
    EXPECT_FALSE(decoder.open(std::span(message).first(size), small).ok()) << size;
  }
}

TEST(Simplon, ATimeAsTextIsUnderstoodAndImagesSayTheirNumber) {
  SimplonDecoder decoder({});
  const auto message = CborWriter()
                           .text("type", "image")
                           .number("run_id", 15)
                           .bytes("compressed_data", packed<std::int32_t>())
                           .text("dtype", "int32")
                           .text("timestamp", "1362118138.401000123")
                           .number("message_id", 41)
                           .message('m');
  const auto frame = fill(*must(decoder.open(message, kFrames)), 0);
  EXPECT_EQ(frame.info.timestamp, std::uint64_t{1362118138} << 32 | 401'000'123U);
  ASSERT_TRUE(decoder.sequence());
  EXPECT_EQ(decoder.sequence()->source, "15");
  EXPECT_EQ(decoder.sequence()->number, 41U);
  must(decoder.open(CborWriter().text("type", "end").message(), kFrames));
  EXPECT_FALSE(decoder.sequence());
}

}  // namespace
}  // namespace peaknet::feed
