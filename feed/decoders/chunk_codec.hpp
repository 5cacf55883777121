// ChunkCodec: the filters of an HDF5 dataset, undone here and not by the library: it believes whatever a plugin
// returns, and what a plugin did not write is memory of somebody else. Here a chunk unpacks to exactly its size, or it
// is damaged.
//
// Known are gzip, shuffle, Fletcher-32, bitshuffle (alone, with LZ4, with Zstandard), LZ4, Zstandard, Blosc and zfp, in
// any order in which at most one of them compresses. One thread uses one codec at a time.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "feed/decoders/inflater.hpp"
#include "feed/decoders/scratch.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

// The inverse of HDF5's shuffle: all first bytes, all second bytes, ... as samples again.
void undo_shuffle(std::span<const std::byte> from, std::span<std::byte> to, std::size_t sample_bytes);

// A chunk of the filter 32008 with its head of 12 bytes (sizes, big-endian), into exactly `out`.
enum class BlockCodec : std::uint8_t;
bool unpack_bitshuffle_chunk(std::span<const std::byte> packed, BlockCodec codec, std::size_t sample_bytes,
                             std::span<std::byte> out, Scratch& block);

class ChunkCodec {
 public:
  // nullopt: there is a filter that is not known here, or two that compress. The caller holds the Hdf5Guard.
  static std::optional<ChunkCodec> of(hid_t creation_properties, SampleType type);

  bool packs() const { return !filters_.empty(); }
  // `skipped`: HDF5's mask of the filters that were left out for this chunk. False: damaged, or not of this size.
  bool unpack(std::span<const std::byte> stored, std::uint32_t skipped, std::span<std::byte> out);

 private:
  struct Filter {
    H5Z_filter_t id = 0;
    std::vector<unsigned> values;
  };
  explicit ChunkCodec(SampleType type) : type_(type) {}
  bool undo(const Filter& filter, std::span<const std::byte> from, std::span<std::byte> to);
  SampleType type_;
  std::vector<Filter> filters_;
  Scratch first_, second_, work_;
  WholeInflater inflater_;
};

}  // namespace peaknet::feed
