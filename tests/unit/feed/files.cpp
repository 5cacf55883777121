#include "tests/unit/feed/files.hpp"

#include <fstream>
#include <stdexcept>
#include <utility>

namespace peaknet::test {
namespace {

feed::Hdf5Handle must_have(feed::Hdf5Handle handle) {
  if (!handle) throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  return handle;
}

}  // namespace

FileWriter::FileWriter(std::string path)
    : path_(std::move(path)),
      file_(must_have({H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose})) {}

void FileWriter::write(const std::string& path, const std::vector<hsize_t>& dims, hid_t type, const void* values,
                       const Storage& storage) {
  const auto space = must_have(
      {dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
       H5Sclose});
  const auto creation = must_have({H5Pcreate(H5P_DATASET_CREATE), H5Pclose});
  if (storage.compact) H5Pset_layout(creation.get(), H5D_COMPACT);
  if (!storage.chunk.empty())
    H5Pset_chunk(creation.get(), static_cast<int>(storage.chunk.size()), storage.chunk.data());
  if (storage.fletcher32) H5Pset_fletcher32(creation.get());
  if (storage.shuffle) H5Pset_shuffle(creation.get());
  if (storage.gzip > 0) H5Pset_deflate(creation.get(), static_cast<unsigned>(storage.gzip));
  const auto links = must_have({H5Pcreate(H5P_LINK_CREATE), H5Pclose});
  H5Pset_create_intermediate_group(links.get(), 1);
  const auto dataset = must_have(
      {H5Dcreate2(file_.get(), path.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT), H5Dclose});
  const hid_t memory = H5Tget_class(type) == H5T_STRING ? H5Tcopy(type) : H5Tget_native_type(type, H5T_DIR_ASCEND);
  const feed::Hdf5Handle memory_type(memory, H5Tclose);
  if (H5Dwrite(dataset.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
    throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  }
}

FileWriter& FileWriter::add_texts(const std::string& path, const std::vector<std::string>& texts) {
  const auto type = must_have({H5Tcopy(H5T_C_S1), H5Tclose});
  H5Tset_size(type.get(), H5T_VARIABLE);
  std::vector<const char*> pointers;
  for (const auto& text : texts) pointers.push_back(text.c_str());
  write(path, {texts.size()}, type.get(), pointers.data(), {});
  return *this;
}

FileWriter& FileWriter::add_units(const std::string& path, const std::string& units) {
  const auto type = must_have({H5Tcopy(H5T_C_S1), H5Tclose});
  H5Tset_size(type.get(), units.size());
  const auto space = must_have({H5Screate(H5S_SCALAR), H5Sclose});
  const auto dataset = must_have({H5Dopen2(file_.get(), path.c_str(), H5P_DEFAULT), H5Dclose});
  const auto attribute =
      must_have({H5Acreate2(dataset.get(), "units", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose});
  H5Awrite(attribute.get(), type.get(), units.c_str());
  return *this;
}

FileWriter& FileWriter::add_packed(const std::string& path, const std::vector<hsize_t>& dims, hid_t type,
                                   H5Z_filter_t filter, const std::vector<unsigned>& values,
                                   const std::vector<std::byte>& chunk) {
  const auto space = must_have({H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose});
  const auto creation = must_have({H5Pcreate(H5P_DATASET_CREATE), H5Pclose});
  H5Pset_chunk(creation.get(), static_cast<int>(dims.size()), dims.data());
  H5Pset_filter(creation.get(), filter, H5Z_FLAG_OPTIONAL, values.size(), values.data());
  const auto links = must_have({H5Pcreate(H5P_LINK_CREATE), H5Pclose});
  H5Pset_create_intermediate_group(links.get(), 1);
  const auto dataset = must_have(
      {H5Dcreate2(file_.get(), path.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT), H5Dclose});
  const std::vector<hsize_t> corner(dims.size(), 0);
  if (H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, corner.data(), chunk.size(), chunk.data()) < 0) {
    throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  }
  return *this;
}

FileWriter& FileWriter::add_external_link(const std::string& path, const std::string& file, const std::string& target) {
  if (H5Lcreate_external(file.c_str(), target.c_str(), file_.get(), path.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0) {
    throw std::runtime_error("HDF5: " + feed::hdf5_complaint());
  }
  return *this;
}

std::string FileWriter::path() {
  file_ = feed::Hdf5Handle();
  return path_;
}

std::vector<std::byte> FileWriter::bytes() { return read_file(path()); }

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace peaknet::test
