#include "feed/decoders/bitshuffle.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/feed/packing.hpp"

namespace peaknet::feed {
namespace {

using Bytes = std::vector<std::byte>;

Bytes noise(std::size_t bytes) {
  std::mt19937 random(7);
  Bytes out(bytes);
  for (auto& byte : out) byte = static_cast<std::byte>(random() & 0x3fU);
  return out;
}

TEST(Bitshuffle, EverySampleSizeBlockSizeAndCodecComesBackBitByBit) {
  Scratch block;
  for (const auto codec : {BlockCodec::lz4, BlockCodec::zstd}) {
    for (const std::size_t sample : {1U, 2U, 4U, 8U}) {
      for (const std::size_t samples : {0U, 1U, 7U, 8U, 9U, 63U, 64U, 65U, 200U, 1003U}) {
        for (const std::size_t block_samples : {8U, 64U, 4096U}) {
          const Bytes raw = noise(samples * sample);
          Bytes out(raw.size());
          const auto packed = test::pack_bitshuffle(raw, sample, block_samples, codec);
          ASSERT_TRUE(unpack_bitshuffle(packed, codec, sample, block_samples, out, block)) << sample << " " << samples;
          ASSERT_EQ(out, raw) << sample << " " << samples << " " << block_samples;
        }
      }
    }
  }
}

TEST(Bitshuffle, NothingIsUnpackedToAnotherSize) {
  Scratch block;
  const auto packed = test::pack_bitshuffle(noise(400), 4, 64);
  for (const std::size_t bytes : {0U, 4U, 396U, 404U, 800U, 399U}) {
    Bytes out(bytes);
    EXPECT_FALSE(unpack_bitshuffle(packed, BlockCodec::lz4, 4, 64, out, block)) << bytes;
  }
  Bytes out(400);
  for (const std::size_t block_samples : {0U, 7U, 8U, 32U, 4096U})
    EXPECT_FALSE(unpack_bitshuffle(packed, BlockCodec::lz4, 4, block_samples, out, block)) << block_samples;
  EXPECT_FALSE(unpack_bitshuffle(packed, BlockCodec::zstd, 4, 64, out, block));
  for (std::size_t size = 0; size < packed.size(); ++size)
    EXPECT_FALSE(unpack_bitshuffle(std::span(packed).first(size), BlockCodec::lz4, 4, 64, out, block)) << size;
}

}  // namespace
}  // namespace peaknet::feed
