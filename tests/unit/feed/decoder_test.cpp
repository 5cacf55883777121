#include "feed/decoders/decoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using ::testing::HasSubstr;

constexpr shm::Geometry kFloats{8, 1, 4, 5, PixelType::float32};

std::vector<std::byte> bytes(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

TEST(Dialect, IsSeenFromTheFirstBytes) {
  EXPECT_EQ(dialect_of(bytes("PK\x03\x04....")), Dialect::npz);
  EXPECT_EQ(dialect_of(bytes("\x89HDF\r\n\x1a\n")), Dialect::hdf5);
  EXPECT_EQ(dialect_of(bytes("YAPN\x01")), Dialect::fast_binary);
  EXPECT_EQ(dialect_of(bytes("c\xaf"
                             "dtypeestart")),
            Dialect::simplon);
  EXPECT_EQ(dialect_of(bytes("m\xa7"
                             "dtypeeimage")),
            Dialect::simplon);
  EXPECT_EQ(dialect_of(bytes("\xa3"
                             "dtypecend")),
            Dialect::simplon);
  for (const char* text : {"", "c", "m", "P", "hello", "c\xaf", "\x80\x02}q"})
    EXPECT_EQ(dialect_of(bytes(text)), Dialect::unknown) << text;
}

TEST(Decoder, WhatIsNoDialectIsRefusedWithItsFirstBytes) {
  const auto decoder = make_decoder({});
  const auto unknown = decoder->open(bytes("GET / HTTP/1.1"), kFloats);
  EXPECT_EQ(unknown.error().id, "dialect.unknown");
  EXPECT_THAT(unknown.error().text(), HasSubstr("47 45 54 20"));
}

TEST(Decoder, EmptyAndHugeMessagesAreRefusedUnread) {
  DecodeOptions options;
  options.limits.message_bytes = 1000;
  const auto decoder = make_decoder(options);
  EXPECT_EQ(decoder->open({}, kFloats).error().id, "message.empty");
  EXPECT_EQ(decoder->open(std::vector<std::byte>(1001), kFloats).error().id, "message.too-large");
}

TEST(Decoder, OneDecoderServesOneMessageAfterTheOther) {
  const auto decoder = make_decoder({});
  const auto good =
      test::NpzWriter(true).add<float>("detector_data", {2, 1, 4, 5}, std::vector<float>(40, 3.0F)).bytes();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(test::fill(*test::must(decoder->open(good, kFloats)), 1).pixels<float>(), std::vector<float>(20, 3.0F));
    EXPECT_FALSE(decoder->open(bytes("nonsense"), kFloats).ok());
  }
}

TEST(Decoder, TheShapesOfTheDetectorsInUseAreRead) {
  // epix10k2M, Jungfrau 4M and 16M, Rayonix, and an image that the sender has assembled.
  for (const auto& [panels, height, width] :
       {std::array{16U, 352U, 384U}, std::array{8U, 512U, 1024U}, std::array{32U, 512U, 1024U},
        std::array{1U, 1920U, 1920U}, std::array{1U, 1667U, 1668U}}) {
    const shm::Geometry geometry{8, panels, height, width, PixelType::uint16};
    const auto counts = test::counting<std::uint16_t>(std::size_t{panels} * height * width, 65521);
    const auto raw = test::bytes_of(counts);
    const std::vector<std::uint64_t> as_batch = {1, panels, height, width}, merged = {panels, 1, height, width};
    const std::vector<std::int64_t> dims(as_batch.begin(), as_batch.end());
    const std::vector<std::vector<std::byte>> messages = {
        test::NpzWriter().add<std::uint16_t>("detector_data", as_batch, counts).bytes(),
        test::NpzWriter().add<std::uint16_t>("detector_data", merged, counts).bytes(),
        test::FastBinaryWriter().add("detector_data", "<u2", dims, raw).message(),
        test::CborWriter()
            .text("type", "image")
            .bytes("compressed_data", test::pack_bitshuffle(raw, 2, 4096))
            .text("dtype", "uint16")
            .message('m')};
    const auto decoder = make_decoder({});
    for (const auto& message : messages) {
      SCOPED_TRACE(std::string(name(dialect_of(message))) + " of " + describe(geometry));
      const auto source = test::must(decoder->open(message, geometry));
      ASSERT_EQ(source->size(), 1U);
      EXPECT_TRUE(test::fill(*source, 0).image == raw);  // too much to print
    }
  }
}

TEST(Decoder, AMaskIsNeverTheImageOfAMessageByItself) {
  constexpr shm::Geometry kFrames{8, 1, 16, 24, PixelType::float32};
  const std::vector<float> mask(std::size_t{16} * 24, 1.0F);
  const auto decoder = make_decoder({});
  const auto hdf5 = test::FileWriter(test::temporary_file("mask.h5")).add("/calib/mask", {1, 16, 24}, mask).bytes();
  const auto fast = test::FastBinaryWriter().add("mask", "<f4", {1, 16, 24}, test::bytes_of(mask)).message();
  for (const auto& message : {hdf5, fast}) {
    const auto opened = decoder->open(message, kFrames);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().id, "message.missing-field");
  }
}

}  // namespace
}  // namespace peaknet::feed
