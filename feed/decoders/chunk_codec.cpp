#include "feed/decoders/chunk_codec.hpp"

#include <blosc.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bit_shuffle.hpp"
#include "feed/decoders/bitshuffle.hpp"
#include "feed/decoders/zfp.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {
namespace {

constexpr H5Z_filter_t kBlosc = 32001, kLz4 = 32004, kBitshuffle = 32008, kZfp = 32013, kZstd = 32015;
constexpr std::size_t kBitshufflePacking = 4, kBitshuffleBlock = 3;
enum : unsigned { kOnlyBits = 0, kBitsAndLz4 = 2, kBitsAndZstd = 3 };
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kLargestLz4 = 0x7e000000;

std::uint64_t big_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

unsigned value_at(const std::vector<unsigned>& values, std::size_t index) {
  return index < values.size() ? values[index] : 0;
}

// As HDF5 has it: over big-endian words of 16 bits, an odd last byte as the upper half of one.
std::uint32_t fletcher32(std::span<const std::byte> bytes) {
  std::uint32_t low = 0, high = 0;
  std::size_t words = bytes.size() / 2, at = 0;
  const auto fold = [](std::uint32_t sum) { return (sum & 0xffffU) + (sum >> 16); };
  while (words > 0) {
    constexpr std::size_t kWithoutOverflow = 360;
    for (std::size_t i = std::min(words, kWithoutOverflow); i > 0; --i, --words, at += 2) {
      low += std::to_integer<std::uint32_t>(bytes[at]) << 8 | std::to_integer<std::uint32_t>(bytes[at + 1]);
      high += low;
    }
    low = fold(low);
    high = fold(high);
  }
  if (bytes.size() % 2 != 0) {
    low += std::to_integer<std::uint32_t>(bytes.back()) << 8;
    high += low;
    low = fold(low);
    high = fold(high);
  }
  return fold(high) << 16 | fold(low);
}

bool undo_fletcher32(std::span<const std::byte> from, std::span<std::byte> to) {
  if (from.size() != to.size() + kChecksumBytes) return false;
  std::uint32_t said = 0;
  std::memcpy(&said, from.data() + to.size(), sizeof said);
  const auto data = from.first(to.size());
  const std::uint32_t is = fletcher32(data);
  // Old versions of HDF5 on little-endian machines swapped the bytes of each half; the library reads those too.
  const std::uint32_t swapped = (is & 0x00ff00ffU) << 8 | (is >> 8 & 0x00ff00ffU);
  if (said != is && said != swapped) return false;
  std::memcpy(to.data(), data.data(), to.size());
  return true;
}

// HDF5's filter 32004: the size, the size of a block, and blocks behind their lengths; one of its full length is as it
// was.
bool undo_lz4(std::span<const std::byte> from, std::span<std::byte> to) {
  constexpr std::size_t kHead = 12, kLength = 4;
  if (from.size() < kHead || big_endian(from.first(8)) != to.size()) return false;
  const std::uint64_t block = big_endian(from.subspan(8, 4));
  if (block == 0 || block > kLargestLz4) return false;
  from = from.subspan(kHead);
  while (!to.empty()) {
    const std::size_t now = std::min<std::size_t>(block, to.size());
    if (from.size() < kLength) return false;
    const std::uint64_t length = big_endian(from.first(kLength));
    from = from.subspan(kLength);
    if (length > from.size() || length > kLargestLz4) return false;
    if (length == now) {
      std::memcpy(to.data(), from.data(), now);
    } else {
      const int got =
          LZ4_decompress_safe(reinterpret_cast<const char*>(from.data()), reinterpret_cast<char*>(to.data()),
                              static_cast<int>(length), static_cast<int>(now));
      if (got < 0 || static_cast<std::size_t>(got) != now) return false;
    }
    from = from.subspan(length);
    to = to.subspan(now);
  }
  return from.empty();
}

bool undo_blosc(std::span<const std::byte> from, std::span<std::byte> to) {
  std::size_t bytes = 0;
  if (blosc_cbuffer_validate(from.data(), from.size(), &bytes) != 0 || bytes != to.size()) return false;
  const int got = blosc_decompress_ctx(from.data(), to.data(), to.size(), 1);
  return got >= 0 && static_cast<std::size_t>(got) == to.size();
}

// Bitshuffle without a packer: blocks of samples, the last one shorter, up to seven samples as they are.
bool undo_bits(std::span<const std::byte> from, std::size_t sample_bytes, std::size_t block, std::span<std::byte> to,
               Scratch& work) {
  constexpr std::size_t kBlockBytes = 8192, kSmallestBlock = 128;
  if (from.size() != to.size() || sample_bytes == 0 || to.size() % sample_bytes != 0) return false;
  if (block == 0) block = std::max(kSmallestBlock, kBlockBytes / sample_bytes / 8 * 8);
  if (block % 8 != 0) return false;
  while (to.size() / sample_bytes >= 8) {
    const std::size_t left = to.size() / sample_bytes, samples = left >= block ? block : left / 8 * 8;
    const std::size_t bytes = samples * sample_bytes;
    bit_unshuffle(from.data(), to.data(), work.get(bytes).data(), samples, sample_bytes);
    from = from.subspan(bytes);
    to = to.subspan(bytes);
  }
  if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
  return true;
}

bool compresses(H5Z_filter_t id, const std::vector<unsigned>& values) {
  if (id == kBitshuffle) return value_at(values, kBitshufflePacking) != kOnlyBits;
  return id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32;
}

bool known(H5Z_filter_t id, const std::vector<unsigned>& values) {
  const unsigned packing = value_at(values, kBitshufflePacking);
  if (id == kBitshuffle) return packing == kOnlyBits || packing == kBitsAndLz4 || packing == kBitsAndZstd;
  constexpr H5Z_filter_t kKnown[] = {
      H5Z_FILTER_DEFLATE, H5Z_FILTER_SHUFFLE, H5Z_FILTER_FLETCHER32, kBlosc, kLz4, kZfp, kZstd};
  return std::find(std::begin(kKnown), std::end(kKnown), id) != std::end(kKnown);
}

}  // namespace

void undo_shuffle(std::span<const std::byte> from, std::span<std::byte> to, std::size_t sample_bytes) {
  const std::size_t samples = from.size() / sample_bytes;
  for (std::size_t byte = 0; byte < sample_bytes; ++byte) {
    const std::byte* plane = from.data() + byte * samples;
    for (std::size_t i = 0; i < samples; ++i) to[i * sample_bytes + byte] = plane[i];
  }
}

bool unpack_bitshuffle_chunk(std::span<const std::byte> packed, BlockCodec codec, std::size_t sample_bytes,
                             std::span<std::byte> out, Scratch& block) {
  constexpr std::size_t kHead = 12;
  if (packed.size() < kHead || big_endian(packed.first(8)) != out.size()) return false;
  return unpack_bitshuffle(packed.subspan(kHead), codec, sample_bytes, big_endian(packed.subspan(8, 4)) / sample_bytes,
                           out, block);
}

std::optional<ChunkCodec> ChunkCodec::of(hid_t creation_properties, SampleType type) {
  ChunkCodec codec(type);
  const auto ids = filters_of(creation_properties);
  int packers = 0;
  for (unsigned i = 0; i < ids.size(); ++i) {
    Filter filter{ids[i], filter_values(creation_properties, i)};
    if (!known(filter.id, filter.values)) return std::nullopt;
    packers += compresses(filter.id, filter.values) ? 1 : 0;
    codec.filters_.push_back(std::move(filter));
  }
  if (packers > 1) return std::nullopt;
  return codec;
}

bool ChunkCodec::undo(const Filter& filter, std::span<const std::byte> from, std::span<std::byte> to) {
  const std::size_t sample = size_of(type_);
  switch (filter.id) {
    case H5Z_FILTER_DEFLATE:
      return inflater_.unpack(from, Deflate::zlib, to);
    case H5Z_FILTER_SHUFFLE:
      if (from.size() != to.size() || to.size() % sample != 0) return false;
      undo_shuffle(from, to, sample);
      return true;
    case H5Z_FILTER_FLETCHER32:
      return undo_fletcher32(from, to);
    case kBitshuffle: {
      const unsigned packing = value_at(filter.values, kBitshufflePacking);
      if (packing == kOnlyBits) return undo_bits(from, sample, value_at(filter.values, kBitshuffleBlock), to, work_);
      return unpack_bitshuffle_chunk(from, packing == kBitsAndLz4 ? BlockCodec::lz4 : BlockCodec::zstd, sample, to,
                                     work_);
    }
    case kLz4:
      return undo_lz4(from, to);
    case kZstd:
      return ZSTD_decompress(to.data(), to.size(), from.data(), from.size()) == to.size();
    case kBlosc:
      return undo_blosc(from, to);
    case kZfp:
      return unpack_zfp(from, filter.values, type_, to, work_);
    default:
      return false;
  }
}

bool ChunkCodec::unpack(std::span<const std::byte> stored, std::uint32_t skipped, std::span<std::byte> out) {
  std::vector<const Filter*> active;
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if (i >= 32 || (skipped >> i & 1U) == 0) active.push_back(&filters_[i]);
  }
  if (active.empty()) {
    if (stored.size() != out.size()) return false;
    std::memcpy(out.data(), stored.data(), out.size());
    return true;
  }
  // The last one first. What it gives is what the ones before it gave: the chunk, and the checksums that they added.
  bool use_first = true;
  for (std::size_t i = active.size(); i-- > 0; use_first = !use_first) {
    std::size_t bytes = out.size();
    bool before = false;  // is there a packer before? Then only it knows how many bytes it made.
    for (std::size_t j = 0; j < i; ++j) {
      if (active[j]->id == H5Z_FILTER_FLETCHER32) bytes += kChecksumBytes;
      before = before || compresses(active[j]->id, active[j]->values);
    }
    if (before) {
      if (compresses(active[i]->id, active[i]->values)) return false;
      const std::size_t checksum = active[i]->id == H5Z_FILTER_FLETCHER32 ? kChecksumBytes : 0;
      if (stored.size() < checksum) return false;
      bytes = stored.size() - checksum;
    }
    const auto to = i == 0 ? out : (use_first ? first_ : second_).get(bytes);
    if (!undo(*active[i], stored, to)) return false;
    stored = to;
  }
  return true;
}

}  // namespace peaknet::feed
