#include "cxi/master_columns.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>

namespace peaknet::writer {
namespace {

constexpr hsize_t kChunkBytes = hsize_t{64} << 10;  // a reader unpacks so much for one event
constexpr hsize_t kBytesAtOnce = hsize_t{4} << 20;

std::vector<hsize_t> dims_of(const H5Handle& set) {
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  std::vector<hsize_t> dims(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank > 0) H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  return dims;
}

hsize_t product(const std::vector<hsize_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), hsize_t{1}, std::multiplies<>());
}

// The bytes of a dataset of one chunk as they are stored; empty where it is no such dataset.
std::vector<std::byte> stored_chunk(const H5Handle& set, std::size_t rank) {
  const H5Handle creation(H5Dget_create_plist(set.get()), H5Pclose);
  if (H5Pget_layout(creation.get()) != H5D_CHUNKED) return {};
  const std::vector<hsize_t> first(rank, 0);
  hsize_t size = 0;
  std::uint32_t filters = 0;
  if (H5Dget_chunk_storage_size(set.get(), first.data(), &size) < 0) return {};
  std::vector<std::byte> bytes(size);
  if (H5Dread_chunk(set.get(), H5P_DEFAULT, first.data(), &filters, bytes.data()) < 0) return {};
  return bytes;
}

}  // namespace

Result<CopiedColumn> CopiedColumn::create(hid_t master, const std::filesystem::path& path, const std::string& name,
                                          const std::vector<hsize_t>& dims, hid_t type) {
  std::vector<hsize_t> chunk = dims;
  chunk[0] = 1;
  const hsize_t row_bytes = std::max<hsize_t>(1, product(chunk) * H5Tget_size(type));
  chunk[0] = std::clamp<hsize_t>(kChunkBytes / row_bytes, 1, std::max<hsize_t>(dims[0], 1));
  const int rank = static_cast<int>(dims.size());
  const H5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), rank, chunk.data());
  H5Pset_deflate(creation.get(), 1);
  const H5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  const H5Handle space(H5Screate_simple(rank, dims.data(), nullptr), H5Sclose);
  H5Handle set(H5Dcreate2(master, name.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return hdf5_error("make dataset " + name + " in", path);
  return CopiedColumn(path, name, std::move(set));
}

Status CopiedColumn::append(hid_t file, const std::filesystem::path& path, hsize_t first, hsize_t rows) {
  const H5Handle from(H5Dopen2(file, name_.c_str(), H5P_DEFAULT), H5Dclose);
  if (!from.ok()) return hdf5_error("read " + name_ + " of", path);
  const H5Handle type(H5Dget_type(from.get()), H5Tclose);
  const H5Handle there(H5Dget_space(from.get()), H5Sclose);
  const H5Handle here(H5Dget_space(set_.get()), H5Sclose);
  std::vector<hsize_t> dims = dims_of(from);
  const int rank = static_cast<int>(dims.size());
  dims[0] = 1;
  const hsize_t row_bytes = std::max<hsize_t>(1, product(dims) * H5Tget_size(type.get()));
  std::vector<hsize_t> begin(dims.size(), 0);
  for (const hsize_t end = first + rows; first < end; first += dims[0], rows_ += dims[0]) {
    dims[0] = std::min(end - first, std::max<hsize_t>(1, kBytesAtOnce / row_bytes));
    bytes_.resize(dims[0] * row_bytes);
    const H5Handle memory(H5Screate_simple(rank, dims.data(), nullptr), H5Sclose);
    begin[0] = first;
    if (H5Sselect_hyperslab(there.get(), H5S_SELECT_SET, begin.data(), nullptr, dims.data(), nullptr) < 0 ||
        H5Dread(from.get(), type.get(), memory.get(), there.get(), H5P_DEFAULT, bytes_.data()) < 0)
      return hdf5_error("read " + name_ + " of", path);
    begin[0] = rows_;
    if (H5Sselect_hyperslab(here.get(), H5S_SELECT_SET, begin.data(), nullptr, dims.data(), nullptr) < 0 ||
        H5Dwrite(set_.get(), type.get(), memory.get(), here.get(), H5P_DEFAULT, bytes_.data()) < 0)
      return hdf5_error("write " + name_ + " of", path_);
  }
  return {};
}

Status CopiedColumn::close() {
  if (!set_.close()) return hdf5_error("close " + name_ + " of", path_);
  return {};
}

Status JoinedMask::add(hid_t file, const std::filesystem::path& path, const char* name) {
  if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return {};
  const H5Handle set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return hdf5_error(std::string("read ") + name + " of", path);
  const std::vector<hsize_t> dims = dims_of(set);
  if (dims.size() != 2 || (!dims_.empty() && dims != dims_)) return {};
  std::vector<std::byte> stored = stored_chunk(set, dims.size());
  if (!stored.empty() && stored == last_) return {};
  std::vector<std::uint16_t> pixels(product(dims));
  if (H5Dread(set.get(), H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data()) < 0)
    return hdf5_error(std::string("read ") + name + " of", path);
  last_ = std::move(stored);
  dims_ = dims;
  pixels_.resize(pixels.size());
  std::transform(pixels.begin(), pixels.end(), pixels_.begin(), pixels_.begin(),
                 [](std::uint16_t now, std::uint16_t before) { return static_cast<std::uint16_t>(now | before); });
  return {};
}

}  // namespace peaknet::writer
