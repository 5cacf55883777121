#include "cxi/checksum.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace peaknet::writer {
namespace {

std::vector<std::byte> noise(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t state = 1;
  for (auto& byte : bytes) byte = static_cast<std::byte>((state = state * 1664525U + 1013904223U) >> 24);
  return bytes;
}

TEST(Checksum, TheProcessorsInstructionGivesWhatPlainCodeGives) {
  const auto bytes = noise(400);
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; begin + size <= bytes.size(); ++size) {
      const std::span<const std::byte> part(bytes.data() + begin, size);
      ASSERT_EQ(checksum(part), checksum_portable(part)) << begin << " " << size;
    }
  }
}

TEST(Checksum, EveryFlippedBitShows) {
  auto bytes = noise(200);
  const auto sum = checksum(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_NE(checksum(bytes), sum) << bit;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Checksum, ALengthOfZerosShows) {
  const std::vector<std::byte> zeros(200);
  for (std::size_t size = 1; size < zeros.size(); ++size) {
    EXPECT_NE(checksum({zeros.data(), size}), checksum({zeros.data(), size - 1})) << size;
  }
}

TEST(Checksum, ExchangedWordsShow) {
  auto bytes = noise(64);
  const auto sum = checksum(bytes);
  for (std::size_t word = 0; word + 16 <= bytes.size(); word += 8) {
    auto changed = bytes;
    std::swap_ranges(changed.begin() + static_cast<std::ptrdiff_t>(word),
                     changed.begin() + static_cast<std::ptrdiff_t>(word + 8),
                     changed.begin() + static_cast<std::ptrdiff_t>(word + 8));
    EXPECT_NE(checksum(changed), sum) << word;
  }
}

}  // namespace
}  // namespace peaknet::writer
