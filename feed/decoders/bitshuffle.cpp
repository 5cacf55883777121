#include "feed/decoders/bitshuffle.hpp"

#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <limits>

#include "base/bit_shuffle.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kLargestBlock = std::numeric_limits<int>::max();  // what LZ4 can count

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
    const auto memory = block.get(2 * bytes);
    const auto bits = memory.first(bytes);
    if (!decompress(codec, packed.first(length), bits)) return false;
    packed = packed.subspan(length);
    bit_unshuffle(bits.data(), out.data(), memory.subspan(bytes).data(), samples, sample_bytes);
    out = out.subspan(bytes);
  }
  if (packed.size() != out.size()) return false;
  if (!out.empty()) std::memcpy(out.data(), packed.data(), out.size());
  return true;
}

}  // namespace peaknet::feed
