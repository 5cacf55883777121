#include "hdf5/stored_whole.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "hdf5/handle.hpp"
#include "hdf5/witness.hpp"

namespace peaknet::hdf5 {
namespace {

constexpr const char* kNeverWritten = "has values that were never written";
constexpr std::size_t kLargestChunk = std::size_t{1} << 30;

struct Shape {
  std::vector<hsize_t> dims, chunk;
  std::size_t chunk_bytes = 0;
};

// Calls work(corner) for each chunk until it gives a reason.
template <class Work>
std::string for_each_chunk(const Shape& shape, Work work) {
  std::vector<hsize_t> corner(shape.dims.size(), 0);
  for (;;) {
    if (auto why = work(corner); !why.empty()) return why;
    std::size_t i = corner.size();
    while (i > 0 && (corner[i - 1] += shape.chunk[i - 1]) >= shape.dims[i - 1]) corner[--i] = 0;
    if (i == 0) return {};
  }
}

class Chunks {
 public:
  Chunks(hid_t dataset, hid_t creation, const Shape& shape)
      : dataset_(dataset),
        packed_(H5Pget_nfilters(creation) > 0),
        largest_(2 * shape.chunk_bytes + (std::size_t{1} << 20)),
        out_(packed_ ? shape.chunk_bytes : 0) {
    const Handle type(H5Dget_type(dataset), H5Tclose);
    if (packed_) witness_ = Witness::of(creation, type.get(), shape.chunk);
  }
  std::string look_at(const std::vector<hsize_t>& corner) {
    hsize_t bytes = 0;
    if (H5Dget_chunk_storage_size(dataset_, corner.data(), &bytes) < 0 || bytes == 0) return kNeverWritten;
    if (!packed_) return {};
    if (!witness_) return "is compressed with a filter that HDF5 has not here";
    if (bytes > largest_) return "has a chunk with more bytes than any packer makes";
    stored_.resize(bytes);
    std::uint32_t skipped = 0;
    if (H5Dread_chunk(dataset_, H5P_DEFAULT, corner.data(), &skipped, stored_.data()) >= 0 &&
        witness_->unpack(stored_, skipped, out_))
      return {};
    return "has a chunk that does not unpack to its size";
  }

 private:
  hid_t dataset_;
  bool packed_;
  std::size_t largest_;
  std::vector<std::byte> stored_, out_;
  std::unique_ptr<Witness> witness_;
};

std::string chunks_are_whole(hid_t dataset, hid_t creation, Shape shape, std::size_t sample) {
  shape.chunk.resize(shape.dims.size());
  if (H5Pget_chunk(creation, static_cast<int>(shape.chunk.size()), shape.chunk.data()) < 0) return "is damaged";
  shape.chunk_bytes = sample;
  for (const hsize_t n : shape.chunk) {
    if (n == 0 || __builtin_mul_overflow(shape.chunk_bytes, n, &shape.chunk_bytes) || shape.chunk_bytes > kLargestChunk)
      return "has chunks larger than 1 GiB";
  }
  try {
    Chunks chunks(dataset, creation, shape);
    return for_each_chunk(shape, [&](const std::vector<hsize_t>& corner) { return chunks.look_at(corner); });
  } catch (const std::bad_alloc&) {
    return "has chunks for which there is not memory enough";
  }
}

}  // namespace

std::string not_stored_whole(hid_t dataset) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle type(H5Dget_type(dataset), H5Tclose);
  if (!creation || !space || !type) return "is damaged";
  const hssize_t values = H5Sget_simple_extent_npoints(space.get());
  if (values <= 0) return {};
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL) return "is virtual: of what it shows and cannot find, HDF5 makes zeros";
  if (H5Pget_external_count(creation.get()) > 0) return "lies in raw files: of what they lack, HDF5 makes zeros";
  const std::size_t sample = H5Tget_size(type.get());
  if (layout == H5D_CHUNKED) {
    Shape shape;
    shape.dims.resize(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space.get()))));
    H5Sget_simple_extent_dims(space.get(), shape.dims.data(), nullptr);
    return chunks_are_whole(dataset, creation.get(), std::move(shape), sample);
  }
  const bool whole = H5Dget_storage_size(dataset) / sample >= static_cast<hsize_t>(values);
  return whole ? std::string() : kNeverWritten;
}

}  // namespace peaknet::hdf5
