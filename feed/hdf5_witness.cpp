#include "feed/hdf5_witness.hpp"

#include <array>

namespace peaknet::feed {
namespace {

constexpr H5Z_filter_t kWitness = 511;  // the last of those that HDF5 leaves for use inside of a program

// Its values are the number of bytes of a chunk, low half first. What goes in comes out.
std::size_t look(unsigned flags, std::size_t count, const unsigned values[], std::size_t bytes, std::size_t*, void**) {
  if ((flags & H5Z_FLAG_REVERSE) == 0) return bytes;
  const bool whole = count == 2 && bytes == (std::size_t{values[1]} << 32 | values[0]);
  return whole ? bytes : 0;
}

bool have_witness() {
  static const bool registered = [] {
    constexpr H5Z_class2_t kAbout = {H5Z_CLASS_T_VERS, kWitness, 1, 1, "size of a chunk", nullptr, nullptr, look};
    return H5Zregister(&kAbout) >= 0;
  }();
  return registered;
}

}  // namespace

std::unique_ptr<Hdf5Witness> Hdf5Witness::of(hid_t creation_properties, hid_t type, std::span<const hsize_t> chunk) {
  const auto filters = filters_of(creation_properties);
  for (const H5Z_filter_t filter : filters) {
    if (H5Zfilter_avail(filter) <= 0) return nullptr;
  }
  std::size_t bytes = H5Tget_size(type);
  for (const hsize_t n : chunk) bytes *= n;
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const Hdf5Handle uncached(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(chunk.size()), chunk.data(), nullptr), H5Sclose);
  const std::array<unsigned, 2> size = {static_cast<unsigned>(bytes), static_cast<unsigned>(bytes >> 32)};
  constexpr std::size_t kGrowth = std::size_t{1} << 20;
  bool good = have_witness() && H5Pset_fapl_core(access.get(), kGrowth, false) >= 0 &&
              H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) >= 0 &&
              H5Pset_filter(creation.get(), kWitness, H5Z_FLAG_MANDATORY, size.size(), size.data()) >= 0 &&
              H5Pset_chunk_cache(uncached.get(), 0, 0, 1.0) >= 0;
  for (unsigned i = 0; good && i < filters.size(); ++i) {
    const auto values = filter_values(creation_properties, i);
    good = H5Pset_filter(creation.get(), filters[i], H5Z_FLAG_OPTIONAL, values.size(), values.data()) >= 0;
  }
  if (!good) return nullptr;
  std::unique_ptr<Hdf5Witness> made(new Hdf5Witness);
  made->file_ = {H5Fcreate("chunk in memory", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose};
  made->type_ = {H5Tcopy(type), H5Tclose};
  if (!made->file_ || !made->type_) return nullptr;
  made->dataset_ = {
      H5Dcreate2(made->file_.get(), "chunk", type, space.get(), H5P_DEFAULT, creation.get(), uncached.get()), H5Dclose};
  made->corner_.assign(chunk.size(), 0);
  return made->dataset_ ? std::move(made) : nullptr;
}

bool Hdf5Witness::unpack(std::span<const std::byte> stored, std::uint32_t skipped, std::span<std::byte> out) {
  return H5Dwrite_chunk(dataset_.get(), H5P_DEFAULT, skipped << 1, corner_.data(), stored.size(), stored.data()) >= 0 &&
         H5Dread(dataset_.get(), type_.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) >= 0;
}

}  // namespace peaknet::feed
