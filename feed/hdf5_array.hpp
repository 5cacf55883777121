// DiskArray: the pixels of a dataset, read in boxes, and only where they are. What HDF5 shows as zeros because it was
// never written, or cannot be found, is told as absent; what a filter does not give whole is told as damaged.
//
// Storage may be made before it is written: what a file system knows as a hole of the file, and what is nothing but the
// dataset's own fill value (not 0), was never written either. Elsewhere zeros are zeros.
//
// Chunks are taken as they lie and unpacked here (ChunkCodec), others through HDF5 with proof of their size
// (hdf5::Witness); virtual datasets are read part by part (Hdf5Virtual), external raw files looked for first. Numbers
// come out little-endian, float16 as float32. Files are opened when they are needed: an ArrayFiles keeps the last of
// them open, so that their number is bounded by nothing but patience.
//
// One thread uses all that share an ArrayFiles. It takes the Hdf5Guard where it needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/chunk_codec.hpp"
#include "feed/file_holes.hpp"
#include "feed/hdf5_file.hpp"
#include "feed/hdf5_virtual.hpp"
#include "hdf5/witness.hpp"

namespace peaknet::feed {

class ArrayFiles;

class DiskArray {
 public:
  // Errors: file.unreadable, file.filter, file.virtual, frame.type.
  static Result<std::shared_ptr<DiskArray>> open(const std::string& path, const std::string& dataset);
  ~DiskArray();

  const std::vector<std::uint64_t>& dims() const { return array_.dims; }
  SampleType type() const { return array_.half ? SampleType::f32 : *array_.type; }

  // Is everything there that must be, as far as can be told without reading? Errors: file.incomplete, with the path of
  // what is missing, and those of `open` for what a virtual dataset shows.
  Status check(ArrayFiles& files, int depth = 0);
  // The elements of `box` into `to`, in its order. Errors: frame.absent (what is missing), file.unreadable, and those
  // of `check`.
  Status read(const Box& box, std::byte* to, ArrayFiles& files);
  // Asks the library for all that `read` will ask it for, but for chunks that are unpacked here. What it says is left
  // to `read`. `seen`: arrays that were looked through already.
  using Seen = std::set<std::pair<std::string, std::string>>;
  void look_through(ArrayFiles& files, Seen& seen);
  // Of a virtual dataset of several rows: how many elements of a row no file shows, in any row.
  std::uint64_t never_shown() const;
  // Lets go of the memory that was kept for the next frame.
  void forget();

 private:
  DiskArray() = default;
  Status find_storage();
  // As `read`, but float16 stays as it is stored.
  Status read_as_stored(const Box& box, std::byte* to, ArrayFiles& files, int depth);
  Hdf5Handle memory_type() const;
  Status find_raw_files(hid_t creation);
  Status read_plain(const Box& box, std::byte* to);
  Status read_chunks(const Box& box, std::byte* to);
  Status read_virtual(const Box& box, std::byte* to, ArrayFiles& files, int depth);
  // Why it failed; empty: it did not.
  std::string read_stored(const std::vector<hsize_t>& corner, std::span<std::byte> stored,
                          std::uint32_t& skipped) const;
  Status load_chunk(const std::vector<std::uint64_t>& chunk, std::span<std::byte> out);
  void look_at_chunks();
  Result<std::span<const std::byte>> chunk_in_memory(const std::vector<std::uint64_t>& chunk);
  Status check_mapping(Mapping& mapping, ArrayFiles& files, int depth);
  Result<std::shared_ptr<DiskArray>> source(Mapping& mapping, ArrayFiles& files);
  std::uint64_t shown_of(const Box& rows) const;
  Status read_rows(const Box& rows, std::byte* to, ArrayFiles& files, int depth);
  void find_nothing(hid_t creation);
  bool shows_nothing(std::span<const std::byte> values) const;
  std::uint64_t indexed_bytes(std::span<const hsize_t> corner) const;
  bool chunk_is_hole(std::span<const hsize_t> corner);
  Error absent(const Box& box, const std::string& why) const;
  void to_little_endian(std::byte* values, std::uint64_t count) const;
  std::size_t sample() const { return size_of(*array_.type); }
  std::string what() const { return "dataset " + dataset_ + " of " + path_; }

  std::string path_, dataset_;
  FileHoles holes_;
  Hdf5Handle file_;
  Hdf5Array array_;
  H5D_layout_t layout_ = H5D_CONTIGUOUS;
  bool raw_files_ = false;
  std::vector<std::byte> halves_;   // float16 of the box that was read last
  std::vector<std::byte> nothing_;  // what its writer chose to show where nothing was written, if that is not 0
  // Chunked.
  std::vector<std::uint64_t> chunk_;
  std::size_t chunk_bytes_ = 0;
  bool packed_ = false, partial_unpacked_ = false;
  std::optional<ChunkCodec> codec_;
  std::unique_ptr<hdf5::Witness> witness_;
  Scratch stored_, unpacked_;
  // Chunks of several frames stay unpacked while their frames are read.
  std::map<std::vector<std::uint64_t>, std::vector<std::byte>> kept_;
  std::size_t kept_bytes_ = 0;
  // Virtual.
  std::vector<Mapping> mappings_;
  std::vector<std::byte> fill_;
  std::uint64_t shown_ = 0;  // elements of a row that have a source, of the row that has most
  bool dense_ = true;        // several rows can be read at once
  std::vector<std::byte> piece_;
};

// The files that are open: those that were used last.
class ArrayFiles {
 public:
  explicit ArrayFiles(std::size_t at_most = 128) : at_most_(at_most) {}
  // Errors: those of DiskArray::open.
  Result<std::shared_ptr<DiskArray>> get(const std::string& path, const std::string& dataset);

 private:
  struct Entry {
    std::string path, dataset;
    std::shared_ptr<DiskArray> array;
  };
  std::size_t at_most_;
  std::list<Entry> open_;  // the last used first
  std::map<std::pair<std::string, std::string>, std::list<Entry>::iterator> index_;
};

}  // namespace peaknet::feed
