#include "feed/decoders/bitshuffle.hpp"

#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <limits>

namespace peaknet::feed {
namespace {

constexpr std::size_t kLargestBlock = std::numeric_limits<int>::max();  // what LZ4 can count

// Bit c of byte r becomes bit r of byte c.
std::uint64_t transpose_8x8(std::uint64_t x) {
  std::uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaU;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccU;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0U;
  return x ^ t ^ (t << 28);
}

// Row 8k+b of `bits` has bit b of byte k of every sample.
void undo_transpose(std::span<const std::byte> bits, std::size_t sample_bytes, std::byte* out) {
  const std::size_t row = bits.size() / sample_bytes / 8;
  for (std::size_t k = 0; k < sample_bytes; ++k) {
    const std::byte* rows = bits.data() + 8 * k * row;
    for (std::size_t group = 0; group < row; ++group) {
      std::uint64_t eight = 0;
      for (std::size_t b = 0; b < 8; ++b) eight |= std::to_integer<std::uint64_t>(rows[b * row + group]) << 8 * b;
      eight = transpose_8x8(eight);
      std::byte* to = out + 8 * group * sample_bytes + k;
      for (std::size_t i = 0; i < 8; ++i) to[i * sample_bytes] = static_cast<std::byte>(eight >> 8 * i & 0xffU);
    }
  }
}

bool decompress(BlockCodec codec, std::span<const std::byte> packed, std::span<std::byte> out) {
  if (codec == BlockCodec::zstd)
    return ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size()) == out.size();
  if (packed.size() > kLargestBlock) return false;
  const int bytes =
      LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(packed.size()), static_cast<int>(out.size()));
  return bytes >= 0 && static_cast<std::size_t>(bytes) == out.size();
}

}  // namespace

bool unpack_bitshuffle(std::span<const std::byte> packed, BlockCodec codec, std::size_t sample_bytes,
                       std::size_t block_samples, std::span<std::byte> out, Scratch& block) {
  if (sample_bytes == 0 || block_samples == 0 || block_samples % 8 != 0 || out.size() % sample_bytes != 0) return false;
  while (out.size() / sample_bytes >= 8) {
    const std::size_t left = out.size() / sample_bytes;
    const std::size_t samples = left >= block_samples ? block_samples : left / 8 * 8;
    const std::size_t bytes = samples * sample_bytes;
    if (bytes > kLargestBlock || packed.size() < 4) return false;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(packed[i]);
    packed = packed.subspan(4);
    if (length > packed.size()) return false;
    const auto bits = block.get(bytes);
    if (!decompress(codec, packed.first(length), bits)) return false;
    packed = packed.subspan(length);
    undo_transpose(bits, sample_bytes, out.data());
    out = out.subspan(bytes);
  }
  if (packed.size() != out.size()) return false;
  if (!out.empty()) std::memcpy(out.data(), packed.data(), out.size());
  return true;
}

}  // namespace peaknet::feed
