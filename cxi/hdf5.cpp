#include "cxi/hdf5.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>

#include "cxi/compression.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {
namespace {

// Filter 32008 for HDF5's own reading and writing of chunks. Parameters: see bitshuffle_parameters().
std::size_t bitshuffle_filter(unsigned flags, std::size_t parameter_count, const unsigned* parameters,
                              std::size_t bytes, std::size_t* buffer_bytes, void** buffer) {
  if (parameter_count < 5 || parameters[4] != 2) return 0;  // not LZ4
  const std::size_t element_bytes = parameters[2];
  if (element_bytes != 1 && element_bytes != 2 && element_bytes != 4 && element_bytes != 8) return 0;
  BitshuffleLz4 codec;
  const std::span<const std::byte> in(static_cast<const std::byte*>(*buffer), bytes);
  void* result = nullptr;
  std::size_t size = 0;
  if ((flags & H5Z_FLAG_REVERSE) != 0) {
    size = BitshuffleLz4::decompressed_bytes(in);
    if (size == 0 || size > std::size_t{1} << 32) return 0;
    result = std::malloc(size);  // HDF5 frees it
    if (result == nullptr) return 0;
    if (!codec.decompress(in, element_bytes, {static_cast<std::byte*>(result), size})) {
      std::free(result);
      return 0;
    }
  } else {
    const auto chunk = codec.compress(in, element_bytes);
    size = chunk.size();
    result = std::malloc(size);
    if (result == nullptr) return 0;
    std::memcpy(result, chunk.data(), size);
  }
  std::free(*buffer);
  *buffer = result;
  *buffer_bytes = size;
  return size;
}

herr_t keep_innermost(unsigned, const H5E_error2_t* entry, void* text) {
  auto& out = *static_cast<std::string*>(text);
  if (out.empty() && entry->desc != nullptr) out = entry->desc;
  return 0;
}

H5Handle text_type() {
  H5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

H5Handle make_groups() {
  H5Handle properties(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(properties.get(), 1);
  return properties;
}

}  // namespace

hid_t memory_type_of(PixelType type) {
  switch (type) {
    case PixelType::uint16:
      return H5T_NATIVE_UINT16;
    case PixelType::int16:
      return H5T_NATIVE_INT16;
    case PixelType::float32:
      return H5T_NATIVE_FLOAT;
  }
  return H5I_INVALID_HID;
}

hdf5::Guard use_hdf5() {
  static std::once_flag once;
  std::call_once(once, [] {
    const hdf5::Guard guard;
    static const H5Z_class2_t kFilter = {
        H5Z_CLASS_T_VERS, kBitshuffleFilter, 1, 1, "bitshuffle; peaknet-writer", nullptr, nullptr, bitshuffle_filter};
    H5Zregister(&kFilter);
  });
  return hdf5::Guard();
}

Error hdf5_error(std::string_view action, const std::filesystem::path& path) {
  std::string message;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &message);
  H5Eclear2(H5E_DEFAULT);
  if (const auto at = message.find("errno = "); at != std::string::npos) {
    return disk_error(action, path, static_cast<int>(std::strtol(message.c_str() + at + 8, nullptr, 10)));
  }
  return {"output.hdf5", "cannot " + std::string(action) + " " + path.string() + ": HDF5 says " + message, "", ""};
}

Error unreadable_file(const std::filesystem::path& path) {
  Error error = hdf5_error("read", path);
  if (error.id == "output.hdf5") return error;
  return {"file.unreadable", error.what, "", "check the name and who may read it"};
}

bool H5Writer::good(bool happened, const std::string& action) {
  if (!happened && status_) status_ = hdf5_error(action, path_);
  return happened;
}

void H5Writer::group(const std::string& name) {
  if (!status_) return;
  const auto properties = make_groups();
  H5Handle made(H5Gcreate2(file_, name.c_str(), properties.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  good(made.ok() && made.close(), "make group " + name + " in");
}

void H5Writer::make_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space,
                            const void* values, hid_t creation) {
  if (!status_) return;
  const auto properties = make_groups();
  H5Handle set(H5Dcreate2(file_, name.c_str(), file_type, space.get(), properties.get(), creation, H5P_DEFAULT),
               H5Dclose);
  if (!good(set.ok(), "make dataset " + name + " in")) return;
  // The close may be what writes: one that fails is a dataset that is not there.
  good(H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0 && set.close(),
       "write dataset " + name + " of");
}

void H5Writer::raw_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* values,
                           std::size_t rows, std::size_t columns) {
  const hsize_t dims[2] = {rows, columns};
  make_dataset(name, file_type, memory_type, H5Handle(H5Screate_simple(columns == 0 ? 1 : 2, dims, nullptr), H5Sclose),
               values);
}

void H5Writer::packed_raw_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* values,
                                  std::size_t rows, std::size_t columns) {
  const hsize_t dims[2] = {rows, columns};
  const H5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), 2, dims);
  H5Pset_deflate(creation.get(), 1);
  make_dataset(name, file_type, memory_type, H5Handle(H5Screate_simple(2, dims, nullptr), H5Sclose), values,
               creation.get());
}

void H5Writer::scalar_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* value) {
  make_dataset(name, file_type, memory_type, H5Handle(H5Screate(H5S_SCALAR), H5Sclose), value);
}

void H5Writer::virtual_dataset(const VirtualDataset& shown, hid_t type) {
  if (!status_) return;
  std::vector<hsize_t> dims = shown.parts.front().dims;
  dims[0] = 0;
  for (const auto& part : shown.parts) dims[0] += part.dims[0];
  const int rank = static_cast<int>(dims.size());
  const H5Handle space(H5Screate_simple(rank, dims.data(), nullptr), H5Sclose);
  const H5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_fill_value(creation.get(), H5T_NATIVE_DOUBLE, &shown.absent);
  std::vector<hsize_t> begin(dims.size(), 0);
  for (const auto& part : shown.parts) {
    const H5Handle from(H5Screate_simple(rank, part.dims.data(), nullptr), H5Sclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, part.dims.data(), nullptr);
    if (!good(H5Pset_virtual(creation.get(), space.get(), part.file.c_str(), shown.name.c_str(), from.get()) >= 0,
              "map " + part.file + " into")) {
      return;
    }
    begin[0] += part.dims[0];
  }
  H5Sselect_all(space.get());
  const auto properties = make_groups();
  H5Handle set(H5Dcreate2(file_, shown.name.c_str(), type, space.get(), properties.get(), creation.get(), H5P_DEFAULT),
               H5Dclose);
  good(set.ok() && set.close(), "make virtual dataset " + shown.name + " in");
}

void H5Writer::texts(const std::string& name, const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  for (const auto& value : values) pointers.push_back(value.c_str());
  const auto type = text_type();
  raw_dataset(name, type.get(), type.get(), pointers.data(), pointers.size(), 0);
}

void H5Writer::texts(const std::string& name, const std::vector<std::uint64_t>& counts, const TextPart& part) {
  if (!status_) return;
  const hsize_t all = std::accumulate(counts.begin(), counts.end(), hsize_t{0});
  const auto type = text_type();
  const H5Handle space(H5Screate_simple(1, &all, nullptr), H5Sclose);
  const auto properties = make_groups();
  H5Handle set(H5Dcreate2(file_, name.c_str(), type.get(), space.get(), properties.get(), H5P_DEFAULT, H5P_DEFAULT),
               H5Dclose);
  if (!good(set.ok(), "make " + name + " in")) return;
  hsize_t begin = 0;
  for (std::size_t index = 0; index < counts.size(); ++index) {
    const auto values = part(index);
    if (!values) {
      status_ = values.error();
      return;
    }
    const hsize_t count = counts[index];
    if (!good(values->size() == count, "find all texts of " + name + " for")) return;
    std::vector<const char*> pointers;
    for (const auto& value : *values) pointers.push_back(value.c_str());
    const H5Handle rows(H5Screate_simple(1, &count, nullptr), H5Sclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &begin, nullptr, &count, nullptr);
    if (!good(H5Dwrite(set.get(), type.get(), rows.get(), space.get(), H5P_DEFAULT, pointers.data()) >= 0,
              "write " + name + " of"))
      return;
    begin += count;
  }
  good(set.close(), "close " + name + " of");
}

void H5Writer::text(const std::string& name, const std::string& value) {
  const auto type = text_type();
  const char* pointer = value.c_str();
  scalar_dataset(name, type.get(), type.get(), &pointer);
}

void H5Writer::soft_link(const std::string& name, const std::string& target) {
  if (!status_) return;
  const auto properties = make_groups();
  good(H5Lcreate_soft(target.c_str(), file_, name.c_str(), properties.get(), H5P_DEFAULT) >= 0,
       "make link " + name + " in");
}

void H5Writer::attribute(const std::string& object, const std::string& name, const std::string& value) {
  const auto type = text_type();
  const char* pointer = value.c_str();
  raw_attribute(object, name, type.get(), type.get(), &pointer);
}

void H5Writer::raw_attribute(const std::string& object, const std::string& name, hid_t file_type, hid_t memory_type,
                             const void* value) {
  if (!status_) return;
  const H5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  status_ = write_attribute(file_, path_, object, name, file_type, memory_type, space, value);
}

Status write_attribute(hid_t file, const std::filesystem::path& path, const std::string& object,
                       const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space,
                       const void* values) {
  const std::string what = "attribute " + name + " of " + object + " in";
  H5Handle made(H5Acreate_by_name(file, object.c_str(), name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT,
                                  H5P_DEFAULT),
                H5Aclose);
  if (!made.ok()) return hdf5_error("make " + what, path);
  if (H5Awrite(made.get(), memory_type, values) < 0 || !made.close()) return hdf5_error("write " + what, path);
  return {};
}

}  // namespace peaknet::writer
