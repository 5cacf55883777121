#include "feed/decoders/fast_binary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <tuple>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::bytes_of;
using test::counting;
using test::FastBinaryWriter;
using test::fill;
using test::must;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr shm::Geometry kFrames{8, 2, 16, 20, PixelType::float32};
constexpr std::size_t kEvent = std::size_t{2} * 16 * 20;

Bytes images() { return bytes_of(counting<float>(3 * kEvent, 10007)); }
std::vector<float> event(std::size_t i) {
  const auto all = counting<float>(3 * kEvent, 10007);
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * kEvent);
  return {begin, begin + static_cast<std::ptrdiff_t>(kEvent)};
}
Error refused(const Bytes& message, const shm::Geometry& geometry = kFrames) {
  FastBinaryDecoder decoder({});
  const auto opened = decoder.open(message, geometry);
  if (opened.ok()) throw std::runtime_error("the message was not refused");
  return opened.error();
}

TEST(FastBinary, ArraysAsTheyAreAndBothPackingsAreRead) {
  for (const std::uint8_t packing : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}}) {
    const auto pack = [&](const Bytes& raw, std::size_t sample) {
      return packing == 0 ? Bytes{} : test::pack_blosc(raw, sample, packing == 1 ? "lz4" : "zstd");
    };
    const auto times = bytes_of(std::vector<std::uint64_t>{std::uint64_t{1'700'000'009} << 32, 0, 7});
    const auto wavelengths = bytes_of(std::vector<double>{0.127, 0.0, 0.13});
    const auto message = FastBinaryWriter()
                             .add("data/timestamp", "<u8", {3}, times, packing, pack(times, 8))
                             .add("data/data", "<f4", {3, 2, 16, 20}, images(), packing, pack(images(), 4))
                             .add("data/wavelength", "<f8", {3}, wavelengths, packing, pack(wavelengths, 8))
                             .message();
    FastBinaryDecoder decoder({});
    const auto source = must(decoder.open(message, kFrames));
    ASSERT_EQ(source->size(), 3U);
    for (const std::uint64_t i : {2U, 0U, 1U}) EXPECT_EQ(fill(*source, i).pixels<float>(), event(i));
    EXPECT_EQ(fill(*source, 0).info.timestamp, std::uint64_t{1'700'000'009} << 32);
    EXPECT_NEAR(fill(*source, 0).info.photon_energy_ev, 9762.5, 0.5);
  }
}

TEST(FastBinary, MergedPanelsAndThePaddingOfTheSenderAreUndone) {
  const auto message =
      FastBinaryWriter()
          .add("detector_data", "<f4", {6, 1, 16, 20}, images())
          .add("detector_data_original_shape", "<i4", {4}, bytes_of(std::vector<std::int32_t>{3, 2, 15, 18}))
          .message();
  FastBinaryDecoder decoder({});
  const auto whole = must(decoder.open(message, kFrames));
  EXPECT_EQ(fill(*whole, 1).pixels<float>(), event(1));
  EXPECT_EQ(fill(*whole, 1).info.original_width, 18U);
  const auto cropped = must(decoder.open(message, {8, 2, 15, 18, PixelType::float32}));
  EXPECT_EQ(fill(*cropped, 1).pixels<float>()[18], event(1)[20]);
}

TEST(FastBinary, SizesThatDoNotAgreeAreRefused) {
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {3, 2, 16, 21}, images()).message()).id,
            "fast_binary.damaged");
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f8", {3, 2, 16, 20}, images()).message()).id,
            "fast_binary.damaged");
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {-3, 2, 16, 20}, images()).message()).id,
            "fast_binary.damaged");
  const std::int64_t large = std::int64_t{1} << 62;
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {large, large, 16, 20}, images()).message()).id,
            "fast_binary.damaged");
  EXPECT_EQ(refused(FastBinaryWriter()
                        .add("data/data", "<f4", {3, 2, 16, 20}, images())
                        .add("timestamp", "<u8", {6}, bytes_of(std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}))
                        .message())
                .id,
            "message.bad-field");
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {3, 2, 16, 20}, images()).message(),
                    {8, 1, 16, 20, PixelType::float32})
                .id,
            "frame.shape");
}

TEST(FastBinary, PackedArraysThatAreNoneOrUnpackToMoreAreRefused) {
  const auto bomb = test::pack_blosc(Bytes(1U << 20), 4, "lz4");
  EXPECT_LT(bomb.size(), 20'000U);
  for (const Bytes& stored : {Bytes{}, Bytes(10), Bytes(100, std::byte{0xff}), bomb}) {
    EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {3, 2, 16, 20}, images(), 1, stored).message()).id,
              "fast_binary.damaged");
  }
}

TEST(FastBinary, WhatIsNotKnownIsRefusedByName) {
  auto message = FastBinaryWriter().add("data/data", "<f4", {3, 2, 16, 20}, images()).message();
  message[4] = std::byte{2};
  EXPECT_THAT(refused(message).text(), HasSubstr("version 2"));
  EXPECT_THAT(refused(FastBinaryWriter().add("data/data", "<c4", {3, 2, 16, 20}, images()).message()).text(),
              HasSubstr("<c4"));
  EXPECT_EQ(refused(FastBinaryWriter().add("data/data", "<f4", {3, 2, 16, 20}, images(), 3, images()).message()).id,
            "fast_binary.unsupported");
  EXPECT_THAT(refused(FastBinaryWriter()
                          .add("data/one", "<f4", {3, 2, 16, 20}, images())
                          .add("data/other", "<f4", {3, 2, 16, 20}, images())
                          .message())
                  .text(),
              HasSubstr("data/other"));
}

// As lclstreamer's examples name their fields: /data/data, /timestamp, /wavelength; and under no name that is known.
TEST(FastBinary, FieldsAreFoundWithAndWithoutASlashBeforeTheirNames) {
  const auto times = bytes_of(std::vector<std::uint64_t>(3, std::uint64_t{1700000000} << 32));
  for (const auto& [image, time, wavelength] : {std::array{"/data/data", "/data/timestamp", "/data/wavelength"},
                                                std::array{"/data", "/timestamp", "/wavelength"},
                                                std::array{"jungfrau.raw.raw", "timestamp", "SIOC:SYS0:ML00:AO192"}}) {
    FastBinaryDecoder decoder({});
    const auto message = FastBinaryWriter()
                             .add(image, "<f4", {3, 2, 16, 20}, images())
                             .add(time, "<u8", {3}, times)
                             .add(wavelength, "<f8", {}, bytes_of(std::vector<double>{0.13}))
                             .message();
    const auto source = must(decoder.open(message, kFrames));
    EXPECT_EQ(fill(*source, 2).info.timestamp, std::uint64_t{1700000000} << 32) << image;
    EXPECT_NEAR(fill(*source, 2).info.photon_energy_ev, 9537.2, 0.1) << image;
  }
}

TEST(FastBinary, TwoFieldsOfOneNameAreRefused) {
  for (const char* twin : {"data/data", "/data/data"}) {
    const auto message = FastBinaryWriter()
                             .add("data/data", "<f4", {3, 2, 16, 20}, images())
                             .add(twin, "<f4", {3, 2, 16, 20}, images())
                             .message();
    EXPECT_EQ(refused(message).id, "fast_binary.damaged") << twin;
  }
}

TEST(FastBinary, WhatMayBeTheImagesIsNeverPassedOverForAPictureBesideIt) {
  const auto with = [](const char* type, const std::vector<std::int64_t>& dims, const Bytes& bytes) {
    return FastBinaryWriter()
        .add("picture", "<f4", {3, 2, 16, 20}, images())
        .add("frames", type, dims, bytes)
        .message();
  };
  EXPECT_EQ(refused(with("<c8", {3, 2, 16, 20}, Bytes(std::size_t{3} * 2 * 16 * 20 * 8))).id, "message.missing-field");
  EXPECT_EQ(refused(with("<f4", {1, 3, 2, 16, 20}, images())).id, "message.missing-field");
}

TEST(FastBinary, BigEndianAndHalfPreciseImagesAreTaken) {
  const Bytes big = {std::byte{0x40}, std::byte{0x48}, std::byte{0xf5}, std::byte{0xc3}};  // 3.14
  const Bytes half = {std::byte{0x48}, std::byte{0x42}};                                   // 3.140625
  for (const auto& [type, element, value] : {std::tuple(">f4", big, 3.14F), std::tuple("<f2", half, 3.140625F)}) {
    Bytes all;
    for (int i = 0; i < 3 * 2 * 16 * 20; ++i) all.insert(all.end(), element.begin(), element.end());
    FastBinaryDecoder decoder({});
    const auto message = FastBinaryWriter().add("data/data", type, {3, 2, 16, 20}, all).message();
    EXPECT_EQ(fill(*must(decoder.open(message, kFrames)), 1).pixels<float>(), std::vector<float>(640, value)) << type;
  }
}

TEST(FastBinary, EveryTruncationAndEveryByteTooManyIsRefused) {
  auto message = FastBinaryWriter().add("data/data", "<f4", {1, 1, 4, 5}, Bytes(80)).message();
  const shm::Geometry small{8, 1, 4, 5, PixelType::float32};
  FastBinaryDecoder decoder({});
  for (std::size_t size = 4; size < message.size(); ++size)
    EXPECT_FALSE(decoder.open(std::span(message).first(size), small).ok()) << size;
  EXPECT_TRUE(decoder.open(message, small).ok());
  message.push_back(std::byte{0});
  EXPECT_EQ(refused(message, small).id, "fast_binary.damaged");
}

}  // namespace
}  // namespace peaknet::feed
