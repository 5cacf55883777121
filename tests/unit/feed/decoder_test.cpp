#include "feed/decoders/decoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/feed/messages.hpp"
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

TEST(Decoder, DialectsThatAreNotBuiltAreRefusedByName) {
  const auto decoder = make_decoder({});
  const auto simplon = decoder->open(bytes("m\xa7"
                                           "dtypeeimage"),
                                     kFloats);
  EXPECT_EQ(simplon.error().id, "dialect.simplon");
  EXPECT_THAT(simplon.error().text(), HasSubstr("simplon"));
  EXPECT_EQ(decoder->open(bytes("YAPN\x01"), kFloats).error().id, "dialect.fast_binary");
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

}  // namespace
}  // namespace peaknet::feed
