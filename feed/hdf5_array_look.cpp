// DiskArray::look_through: what a rehearsal asks of an array.
#include "feed/hdf5_array.hpp"

namespace peaknet::feed {
namespace {

constexpr std::uint64_t kMostLookedAt = 200'000;  // chunks, a microsecond or two each

}  // namespace

void DiskArray::look_through(ArrayFiles& files, Seen& seen) {
  if (array_.elements() == 0 || !seen.emplace(path_, dataset_).second) return;
  if (layout_ == H5D_VIRTUAL) {
    for (Mapping& mapping : mappings_) {
      if (const auto shown = source(mapping, files)) (*shown)->look_through(files, seen);
    }
    return;
  }
  const Hdf5Guard guard;
  if (layout_ == H5D_CHUNKED) {
    look_at_chunks();
    return;
  }
  std::vector<std::byte> one(sample());
  [[maybe_unused]] const Status read =
      read_plain({std::vector<std::uint64_t>(array_.dims.size(), 0), std::vector<std::uint64_t>(array_.dims.size(), 1)},
                 one.data());
}

void DiskArray::look_at_chunks() {
  std::vector<std::uint64_t> chunks(chunk_.size()), now(chunk_.size(), 0);
  for (std::size_t i = 0; i < chunk_.size(); ++i) chunks[i] = (array_.dims[i] + chunk_[i] - 1) / chunk_[i];
  for (std::uint64_t looked = 0; looked < kMostLookedAt; ++looked) {
    if (witness_) {
      [[maybe_unused]] const Status read = load_chunk(now, unpacked_.get(chunk_bytes_));
    } else {
      std::vector<hsize_t> corner(now.size());
      for (std::size_t i = 0; i < now.size(); ++i) corner[i] = now[i] * chunk_[i];
      hsize_t bytes = 0;
      H5Dget_chunk_storage_size(array_.dataset.get(), corner.data(), &bytes);
    }
    std::size_t i = now.size();
    while (i > 0 && ++now[i - 1] == chunks[i - 1]) now[--i] = 0;
    if (i == 0) return;
  }
}

}  // namespace peaknet::feed
