// Hdf5Rows: the rows (first index) of a dataset in an HDF5 file that is a message, found once with the library and read
// without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/inflater.hpp"
#include "feed/decoders/packed_values.hpp"
#include "feed/decoders/scratch.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {

class Hdf5Rows {
 public:
  Hdf5Rows(Hdf5Rows&&) = default;  // not copied: last_bytes_ may refer to compact_
  Hdf5Rows& operator=(Hdf5Rows&&) = default;

  // No rows.
  Hdf5Rows() = default;
  // `count` rows of one element each, which were read already.
  static Hdf5Rows of_values(std::vector<std::byte> bytes, std::uint64_t count);

  // `array` has at least one dimension, and its rows were found to be of a sane size. The caller holds the Hdf5Guard.
  // `largest`: bytes that one chunk may have unpacked. What comes of it can be saved, and read once it is loaded.
  // Errors: hdf5.filter, hdf5.layout, hdf5.damaged.
  static Result<Hdf5Rows> locate(std::uint64_t message_bytes, const Hdf5Array& array, const std::string& path,
                                 std::size_t largest);
  void save(PackedValues& out) const;
  // The rows of `message`, which they refer to. nullopt: they cannot be those of such a dataset in this message.
  static std::optional<Hdf5Rows> load(ValueReader& in, std::span<const std::byte> message,
                                      std::span<const std::uint64_t> dims, SampleType type, std::size_t sample_bytes,
                                      const std::string& path, std::size_t largest);

  // What rows are unpacked into; kept from message to message.
  struct Memory {
    Scratch unpacked, unshuffled, work;
    WholeInflater inflater;
  };
  // Without the library: the bytes of a row, in the message or in `memory`, valid until the next call.
  // Errors: hdf5.damaged.
  Result<std::span<const std::byte>> row(std::uint64_t index, Memory& memory);

 private:
  enum class Packing : std::uint8_t { none, deflate, bitshuffle_lz4, bitshuffle_zstd, zfp };
  struct Piece {  // a run of rows that lie together: a chunk, or the whole of a contiguous dataset
    std::uint64_t offset = 0, bytes = 0;  // in the message, or in compact_ if that has anything
    bool shuffled = false;
    Packing packing = Packing::none;
  };
  std::span<const std::byte> stored(const Piece& piece) const {
    return (compact_.empty() ? message_ : std::span<const std::byte>(compact_)).subspan(piece.offset, piece.bytes);
  }
  // The bytes of a packed piece in memory.unpacked; false if it is damaged.
  bool unpack(const Piece& piece, std::span<std::byte> out, Memory& memory) const;

  std::span<const std::byte> message_;
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
