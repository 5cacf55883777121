#include "feed/decoders/cbor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::CborWriter;
using test::must;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes hex(const std::string& text) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return out;
}
Error refused(const Bytes& message) {
  const auto map = read_cbor_map(message);
  return map.ok() ? Error{} : map.error();
}

TEST(Cbor, EveryKindOfValueIsGivenInPlace) {
  const Bytes payload(300, std::byte{9});
  const auto message = CborWriter()
                           .text("type", "image")
                           .number("small", 7)
                           .number("large", 0x513045fa17e6c640U)
                           .real("energy", 9763.5)
                           .bytes("data", payload)
                           .null("nothing")
                           .list("axis", {0.0, 1.0, 0.0})
                           .text("after", "list")
                           .message();
  const auto map = must(read_cbor_map(message));
  ASSERT_EQ(map.size(), 8U);
  EXPECT_EQ(std::get<std::string_view>(map.at("type")), "image");
  EXPECT_EQ(std::get<std::uint64_t>(map.at("small")), 7U);
  EXPECT_EQ(std::get<std::uint64_t>(map.at("large")), 0x513045fa17e6c640U);
  EXPECT_EQ(std::get<double>(map.at("energy")), 9763.5);
  const auto data = std::get<std::span<const std::byte>>(map.at("data"));
  EXPECT_EQ(Bytes(data.begin(), data.end()), payload);
  EXPECT_TRUE(data.data() > message.data() && data.data() < message.data() + message.size());
  EXPECT_TRUE(std::holds_alternative<std::monostate>(map.at("nothing")));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(map.at("axis")));
  EXPECT_EQ(std::get<std::string_view>(map.at("after")), "list");
}

TEST(Cbor, NegativeNumbersTagsHalfFloatsAndNestedMapsAreUnderstood) {
  // {"a": -1, "b": 1(5), "c": 1.0 (half), "d": {"x": {}, "y": []}, "e": true}
  const Bytes message = hex("a56161206162c1056163f93c006164a26178a06179806165f5");
  const auto map = must(read_cbor_map(message));
  EXPECT_EQ(std::get<std::int64_t>(map.at("a")), -1);
  EXPECT_EQ(std::get<std::uint64_t>(map.at("b")), 5U);
  EXPECT_EQ(std::get<double>(map.at("c")), 1.0);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(map.at("d")));
  EXPECT_EQ(map.size(), 5U);
  EXPECT_TRUE(must(read_cbor_map(hex("a0"))).empty());
}

TEST(Cbor, WhatIsNotOneWholeMapOfNamesIsRefused) {
  for (const char* text : {"",
                           "80",
                           "01",
                           "6161",
                           "f6",
                           "a1",
                           "a16161",
                           "a1616100ff",
                           "a161610000",
                           "a10101",
                           "a16161ff",
                           "a261610161610",
                           "a2616101616102",
                           "a161613b8000000000000000",
                           "a1a001",
                           "1c",
                           "a161615bffffffffffffffff00",
                           "a161619bffffffffffffffff",
                           "bbffffffffffffffff",
                           "ba7fffffff616101",
                           "a161619a7fffffff"}) {
    EXPECT_EQ(refused(hex(text)).id, "simplon.damaged") << text;
  }
  EXPECT_EQ(refused(hex("bf616101ff")).id, "simplon.unsupported");
  EXPECT_EQ(refused(hex("a161617f6161ff")).id, "simplon.unsupported");
  Bytes deep = hex("a16161");
  deep.insert(deep.end(), 100'000, std::byte{0x81});
  EXPECT_THAT(refused(deep).text(), HasSubstr("nested too deep"));
}

}  // namespace
}  // namespace peaknet::feed
