// Bitshuffle + LZ4, HDF5 filter 32008: the one compression that every reader of this field has (CrystFEL's builds,
// hdf5plugin, Debian's package bitshuffle). Lossless.
//
// We compress ourselves, outside of HDF5, and store the chunk as it is. For files of our own to be made in the same way
// on every machine, whether or not a plugin is installed there, the filter is also registered by ourselves (hdf5.hpp),
// without the plugin's set_local, and the dataset says MANDATORY with all five parameters (with two parameters or
// OPTIONAL the outcome depends on the machine, up to a crash of the reader).
//
// A chunk: bytes of the whole (8, big-endian) | bytes of a block (4, big-endian) | for each block: compressed bytes (4,
// big-endian) and the LZ4 block of its bit-transposed elements; the last block may be short (a multiple of 8 elements)
// | the elements that are left, as they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"

namespace peaknet::writer {

inline constexpr int kBitshuffleFilter = 32008;
inline constexpr std::size_t kBitshuffleBlockBytes = 8192;

// What belongs into the dataset's filter parameters: version 0.4 of the format, bytes of an element, default block,
// LZ4.
constexpr std::array<unsigned, 5> bitshuffle_parameters(std::size_t element_bytes) {
  return {0, 4, static_cast<unsigned>(element_bytes), 0, 2};
}

// Keep one per thread: it keeps its buffers.
class BitshuffleLz4 {
 public:
  // The chunk for `image`, whose size is a multiple of `element_bytes` (1, 2, 4 or 8). Valid until the next call.
  std::span<const std::byte> compress(std::span<const std::byte> image, std::size_t element_bytes);

  // Errors: compression.damaged, for a chunk that does not hold exactly image.size() bytes; never reads or writes
  // outside.
  Status decompress(std::span<const std::byte> chunk, std::size_t element_bytes, std::span<std::byte> image);

  // Bytes that a chunk says it holds when decompressed; 0 if it is too short to say.
  static std::uint64_t decompressed_bytes(std::span<const std::byte> chunk);

 private:
  std::unique_ptr<std::byte[]> chunk_;  // of which only what a chunk really takes is ever touched
  std::size_t chunk_room_ = 0;
  std::vector<std::byte> block_;
  std::vector<std::byte> scratch_;
};

// The most bytes that a compressed image can take.
std::size_t compressed_bound(std::size_t image_bytes);

}  // namespace peaknet::writer
