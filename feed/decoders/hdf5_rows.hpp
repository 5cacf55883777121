// Hdf5Rows: the rows (first index) of a dataset in an HDF5 file that is a message, found once with the library and read
// without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/scratch.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {

class Hdf5Rows {
 public:
  Hdf5Rows(Hdf5Rows&&) = default;  // not copied: pieces may refer to compact_
  Hdf5Rows& operator=(Hdf5Rows&&) = default;

  // `array` has at least one dimension, and its rows were found to be of a sane size. The rows that are read refer to
  // `message`. The caller holds the Hdf5Guard. `largest`: bytes that one chunk may have unpacked.
  // Errors: hdf5.filter, hdf5.layout, hdf5.damaged.
  static Result<Hdf5Rows> locate(std::span<const std::byte> message, const Hdf5Array& array, const std::string& path,
                                 std::size_t largest);

  // What rows are unpacked into; kept from message to message.
  struct Memory {
    Scratch unpacked, unshuffled, work;
  };
  // Without the library: the bytes of a row, in the message or in `memory`, valid until the next call.
  // Errors: hdf5.damaged.
  Result<std::span<const std::byte>> row(std::uint64_t index, Memory& memory);

 private:
  Hdf5Rows() = default;
  enum class Packing : std::uint8_t { none, deflate, bitshuffle_lz4, bitshuffle_zstd, zfp };
  struct Piece {  // a run of rows that lie together: a chunk, or the whole of a contiguous dataset
    std::span<const std::byte> stored;
    bool shuffled = false;
    Packing packing = Packing::none;
  };
  // The bytes of a packed piece in memory.unpacked; false if it is damaged.
  bool unpack(const Piece& piece, std::span<std::byte> out, Memory& memory) const;

  std::string path_;
  SampleType type_ = SampleType::u8;
  std::vector<unsigned> filter_values_;  // of zfp: they hold the head of its stream
  std::size_t row_bytes_ = 0, sample_bytes_ = 0;
  std::uint64_t rows_per_piece_ = 1;
  std::vector<Piece> pieces_;
  std::vector<std::byte> compact_;  // data that the file keeps in its headers
  std::uint64_t last_piece_ = ~std::uint64_t{0};
  std::span<const std::byte> last_bytes_;
};

}  // namespace peaknet::feed
