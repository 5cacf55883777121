// DiskArray: what its storage is, and which of it was never written.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "feed/hdf5_array.hpp"
#include "feed/hdf5_open.hpp"

namespace peaknet::feed {

// HDF5 looks for raw files in the folder where a program was started, and shows zeros for what they are short of.
Status DiskArray::find_raw_files(hid_t creation) {
  const int count = H5Pget_external_count(creation);
  raw_files_ = count > 0;
  if (!raw_files_) return {};
  std::uint64_t wanted = array_.elements() * sample();
  std::string prefix;
  for (int i = 0; i < count && wanted > 0; ++i) {
    std::array<char, 4096> name{};
    off_t offset = 0;
    hsize_t bytes = 0;
    if (H5Pget_external(creation, static_cast<unsigned>(i), name.size() - 1, name.data(), &offset, &bytes) < 0)
      return unreadable(what(), hdf5_complaint(), "the file is damaged");
    const std::uint64_t here = std::min<std::uint64_t>(wanted, bytes);
    std::string found;
    std::uint64_t size = 0;
    for (const std::string& place : places_of(name.data(), path_, "HDF5_EXTFILE_PREFIX")) {
      std::error_code trouble;
      size = std::filesystem::file_size(place, trouble);
      if (trouble) continue;
      found = place;
      break;
    }
    if (found.empty()) return incomplete(what(), std::string("its raw file ") + name.data() + " is not there");
    if (size < static_cast<std::uint64_t>(offset) || size - static_cast<std::uint64_t>(offset) < here) {
      return incomplete(what(), "its raw file " + found + " has " + std::to_string(size) + " bytes of the " +
                                    std::to_string(static_cast<std::uint64_t>(offset) + here) + " that it shows");
    }
    if (std::filesystem::path(name.data()).is_relative()) {
      prefix = std::filesystem::absolute(found).string();
      prefix.resize(prefix.size() - std::min(prefix.size(), std::strlen(name.data())));
    }
    wanted -= here;
  }
  if (prefix.empty()) return {};
  const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_efile_prefix(access.get(), prefix.c_str());
  array_.dataset = Hdf5Handle();  // HDF5 takes the prefix when it opens the dataset for the first time
  Hdf5Handle again(H5Dopen2(file_.get(), dataset_.c_str(), access.get()), H5Dclose);
  if (!again) return unreadable(what(), hdf5_complaint(), "the file is damaged");
  array_.dataset = std::move(again);
  return {};
}

// A fill value of 0 tells nothing: zeros may be what was measured.
void DiskArray::find_nothing(hid_t creation) {
  H5D_fill_value_t defined{};
  if (H5Pfill_value_defined(creation, &defined) < 0 || defined != H5D_FILL_VALUE_USER_DEFINED) return;
  std::vector<std::byte> value(sample());
  if (H5Pget_fill_value(creation, memory_type().get(), value.data()) < 0) return;
  const bool zero = std::all_of(value.begin(), value.end(), [](std::byte byte) { return byte == std::byte{0}; });
  if (!zero) nothing_ = std::move(value);
}

bool DiskArray::shows_nothing(std::span<const std::byte> values) const {
  const std::size_t one = nothing_.size();
  if (one == 0 || values.size() < one || std::memcmp(values.data(), nothing_.data(), one) != 0) return false;
  return std::memcmp(values.data(), values.data() + one, values.size() - one) == 0;
}

// Where there are no filters the library tells another size than its index has, and reads as many as that has.
std::uint64_t DiskArray::indexed_bytes(std::span<const hsize_t> corner) const {
  haddr_t at = HADDR_UNDEF;
  hsize_t bytes = 0;
  unsigned skipped = 0;
  H5Dget_chunk_info_by_coord(array_.dataset.get(), corner.data(), &skipped, &at, &bytes);
  return bytes;
}

// Of a chunk with filters no byte lies where it was made.
bool DiskArray::chunk_is_hole(std::span<const hsize_t> corner) {
  if (packed_) return false;
  haddr_t at = HADDR_UNDEF;
  hsize_t bytes = 0, user_block = 0;
  unsigned skipped = 0;
  const Hdf5Handle creation(H5Fget_create_plist(file_.get()), H5Pclose);
  if (!creation || H5Pget_userblock(creation.get(), &user_block) < 0 || user_block != 0) return false;
  return H5Dget_chunk_info_by_coord(array_.dataset.get(), corner.data(), &skipped, &at, &bytes) >= 0 &&
         at != HADDR_UNDEF && bytes > 0 && holes_.contain(path_, at, bytes);
}

}  // namespace peaknet::feed
