#include "hdf5/witness.hpp"

#include <array>
#include <cstdint>

#include "hdf5/filters.hpp"

namespace peaknet::hdf5 {
namespace {

// The last of those that HDF5 leaves for use inside of a program.
constexpr H5Z_filter_t kWitness = 511, kEnough = 510;

// Its values are the number of bytes of a chunk, low half first. What goes in comes out.
std::size_t look(unsigned flags, std::size_t count, const unsigned values[], std::size_t bytes, std::size_t*, void**) {
  if ((flags & H5Z_FLAG_REVERSE) == 0) return bytes;
  const bool whole = count == 2 && bytes == (std::size_t{values[1]} << 32 | values[0]);
  return whole ? bytes : 0;
}

// HDF5's scale-offset reads on behind the end of a chunk that is short: before it the bytes are counted. The values are
// the number of elements, and the bytes of each.
std::size_t count_bits(unsigned flags, std::size_t count, const unsigned values[], std::size_t bytes, std::size_t*,
                       void** buffer) {
  if ((flags & H5Z_FLAG_REVERSE) == 0) return bytes;
  constexpr std::size_t kHead = 21;  // the bits of an element, and the smallest one
  if (count != 2 || bytes < kHead) return 0;
  const auto* const begin = static_cast<const unsigned char*>(*buffer);
  std::uint64_t bits = 0;
  for (std::size_t i = 4; i-- > 0;) bits = bits << 8 | begin[i];
  return bits <= std::uint64_t{8} * values[1] && (bytes - kHead) * 8 >= bits * values[0] ? bytes : 0;
}

bool have_witness() {
  static const bool registered = [] {
    constexpr H5Z_class2_t kSize = {H5Z_CLASS_T_VERS, kWitness, 1, 1, "size of a chunk", nullptr, nullptr, look};
    constexpr H5Z_class2_t kBits = {H5Z_CLASS_T_VERS, kEnough, 1, 1, "bits of a chunk", nullptr, nullptr, count_bits};
    return H5Zregister(&kSize) >= 0 && H5Zregister(&kBits) >= 0;
  }();
  return registered;
}

}  // namespace

std::unique_ptr<Witness> Witness::of(hid_t creation_properties, hid_t type, std::span<const hsize_t> chunk) {
  const auto filters = filters_of(creation_properties);
  for (const H5Z_filter_t filter : filters) {
    if (H5Zfilter_avail(filter) <= 0) return nullptr;
  }
  std::size_t bytes = H5Tget_size(type);
  for (const hsize_t n : chunk) bytes *= n;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const Handle uncached(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  const Handle space(H5Screate_simple(static_cast<int>(chunk.size()), chunk.data(), nullptr), H5Sclose);
  const std::array<unsigned, 2> size = {static_cast<unsigned>(bytes), static_cast<unsigned>(bytes >> 32)};
  constexpr std::size_t kGrowth = std::size_t{1} << 20;
  bool good = have_witness() && H5Pset_fapl_core(access.get(), kGrowth, false) >= 0 &&
              H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) >= 0 &&
              H5Pset_filter(creation.get(), kWitness, H5Z_FLAG_MANDATORY, size.size(), size.data()) >= 0 &&
              H5Pset_chunk_cache(uncached.get(), 0, 0, 1.0) >= 0;
  std::unique_ptr<Witness> made(new Witness);
  const std::size_t sample = H5Tget_size(type);
  unsigned place = 1;
  for (unsigned i = 0; good && i < filters.size(); ++i) {
    const auto values = filter_values(creation_properties, i);
    good = H5Pset_filter(creation.get(), filters[i], H5Z_FLAG_OPTIONAL, values.size(), values.data()) >= 0;
    made->places_.push_back(place++);
    if (filters[i] != H5Z_FILTER_SCALEOFFSET) continue;
    const std::array<unsigned, 2> of = {static_cast<unsigned>(bytes / sample), static_cast<unsigned>(sample)};
    good = good && H5Pset_filter(creation.get(), kEnough, H5Z_FLAG_MANDATORY, of.size(), of.data()) >= 0;
    made->counted_.emplace_back(i, place++);
  }
  if (!good || place > 32) return nullptr;
  made->file_ = {H5Fcreate("chunk in memory", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose};
  made->type_ = {H5Tcopy(type), H5Tclose};
  if (!made->file_ || !made->type_) return nullptr;
  made->dataset_ = {
      H5Dcreate2(made->file_.get(), "chunk", type, space.get(), H5P_DEFAULT, creation.get(), uncached.get()), H5Dclose};
  made->corner_.assign(chunk.size(), 0);
  return made->dataset_ ? std::move(made) : nullptr;
}

bool Witness::unpack(std::span<const std::byte> stored, std::uint32_t skipped, std::span<std::byte> out) {
  std::uint32_t mask = 0;
  const auto was_skipped = [&](std::size_t filter) { return (skipped >> filter & 1U) != 0; };
  for (std::size_t i = 0; i < places_.size(); ++i) mask |= was_skipped(i) ? 1U << places_[i] : 0U;
  for (const auto& [filter, place] : counted_) mask |= was_skipped(filter) ? 1U << place : 0U;
  return H5Dwrite_chunk(dataset_.get(), H5P_DEFAULT, mask, corner_.data(), stored.size(), stored.data()) >= 0 &&
         H5Dread(dataset_.get(), type_.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) >= 0;
}

}  // namespace peaknet::hdf5
