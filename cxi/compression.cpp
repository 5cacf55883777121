#include "cxi/compression.hpp"

#include <lz4.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/bit_shuffle.hpp"

namespace peaknet::writer {
namespace {

constexpr std::size_t kHeader = 12;

void put_big_endian(std::byte* at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
}

std::uint64_t get_big_endian(const std::byte* at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<std::uint8_t>(at[i]);
  return value;
}

Status damaged(const std::string& how) {
  return Error{"compression.damaged", "a bitshuffle+LZ4 chunk is damaged: " + how, "",
               "the file was changed after it was written"};
}

char* chars(std::byte* bytes) { return reinterpret_cast<char*>(bytes); }
const char* chars(const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); }

}  // namespace

std::size_t compressed_bound(std::size_t image_bytes) {
  const std::size_t blocks = image_bytes / kBitshuffleBlockBytes + 1;
  return kHeader + blocks * (4 + static_cast<std::size_t>(LZ4_COMPRESSBOUND(kBitshuffleBlockBytes)));
}

std::span<const std::byte> BitshuffleLz4::compress(std::span<const std::byte> image, std::size_t element_bytes) {
  if (const std::size_t bound = compressed_bound(image.size()); chunk_room_ < bound) {
    chunk_ = std::make_unique_for_overwrite<std::byte[]>(bound);
    chunk_room_ = bound;
  }
  block_.resize(kBitshuffleBlockBytes);
  scratch_.resize(kBitshuffleBlockBytes);
  put_big_endian(chunk_.get(), image.size(), 8);
  put_big_endian(chunk_.get() + 8, kBitshuffleBlockBytes, 4);
  std::size_t end = kHeader;
  const std::size_t unit = 8 * element_bytes;
  while (image.size() >= unit) {
    const std::size_t bytes = std::min(kBitshuffleBlockBytes, image.size() / unit * unit);
    bit_shuffle(image.data(), block_.data(), scratch_.data(), bytes / element_bytes, element_bytes);
    const int size =
        LZ4_compress_default(chars(block_.data()), chars(chunk_.get() + end + 4), static_cast<int>(bytes),
                             LZ4_COMPRESSBOUND(kBitshuffleBlockBytes));  // the room is the bound: it always fits
    put_big_endian(chunk_.get() + end, static_cast<std::uint64_t>(size), 4);
    end += 4 + static_cast<std::size_t>(size);
    image = image.subspan(bytes);
  }
  if (!image.empty()) std::memcpy(chunk_.get() + end, image.data(), image.size());
  return {chunk_.get(), end + image.size()};
}

std::uint64_t BitshuffleLz4::decompressed_bytes(std::span<const std::byte> chunk) {
  return chunk.size() < kHeader ? 0 : get_big_endian(chunk.data(), 8);
}

Status BitshuffleLz4::decompress(std::span<const std::byte> chunk, std::size_t element_bytes,
                                 std::span<std::byte> image) {
  if (decompressed_bytes(chunk) != image.size()) {
    return damaged("it says " + std::to_string(decompressed_bytes(chunk)) + " bytes, expected are " +
                   std::to_string(image.size()));
  }
  const std::size_t unit = 8 * element_bytes;
  std::size_t block_bytes = get_big_endian(chunk.data() + 8, 4);
  if (block_bytes == 0) block_bytes = kBitshuffleBlockBytes;
  if (block_bytes % unit != 0 || block_bytes > (std::size_t{1} << 24))
    return damaged("blocks of " + std::to_string(block_bytes) + " bytes");
  block_.resize(block_bytes);
  scratch_.resize(block_bytes);
  chunk = chunk.subspan(kHeader);
  while (image.size() >= unit) {
    const std::size_t bytes = std::min(block_bytes, image.size() / unit * unit);
    if (chunk.size() < 4) return damaged("it ends too early");
    const std::size_t size = get_big_endian(chunk.data(), 4);
    if (size > chunk.size() - 4) return damaged("it ends too early");
    const int got = LZ4_decompress_safe(chars(chunk.data() + 4), chars(block_.data()), static_cast<int>(size),
                                        static_cast<int>(bytes));
    if (got != static_cast<int>(bytes)) return damaged("LZ4 says " + std::to_string(got));
    bit_unshuffle(block_.data(), image.data(), scratch_.data(), bytes / element_bytes, element_bytes);
    chunk = chunk.subspan(4 + size);
    image = image.subspan(bytes);
  }
  if (chunk.size() != image.size()) return damaged(std::to_string(chunk.size()) + " bytes are left at its end");
  if (!image.empty()) std::memcpy(image.data(), chunk.data(), image.size());
  return {};
}

}  // namespace peaknet::writer
