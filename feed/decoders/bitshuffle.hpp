// Bitshuffle: the packing of kiyo-masui/bitshuffle, as HDF5's filter 32008 and Simplon messages have it. Blocks of
// samples whose bits were transposed (all lowest bits first) and then packed with LZ4 or Zstandard, each behind its
// length in four big-endian bytes; the last up to 7 samples lie unpacked at the end.
//
// Pure; any thread. Never writes, and never takes, more than it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

enum class BlockCodec : std::uint8_t { lz4, zstd };

// Unpacks `packed` into exactly `out`, numbers of `sample_bytes` bytes. `block_samples`: as the packer had it; a
// multiple of 8. False if the data is damaged, or is not this many samples: what is in `out` is then of no use.
bool unpack_bitshuffle(std::span<const std::byte> packed, BlockCodec codec, std::size_t sample_bytes,
                       std::size_t block_samples, std::span<std::byte> out, Scratch& block);

}  // namespace peaknet::feed
