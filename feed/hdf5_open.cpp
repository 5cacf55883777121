#include "feed/hdf5_open.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <vector>

namespace peaknet::feed {
namespace {

// Where a soft or an external link leads to.
std::string target_of(hid_t file, const std::string& path, const H5L_info_t& link) {
  std::vector<char> value(link.u.val_size + 1, '\0');
  if (H5Lget_val(file, path.c_str(), value.data(), link.u.val_size, H5P_DEFAULT) < 0) return "nowhere";
  if (link.type == H5L_TYPE_SOFT) return value.data();
  unsigned flags = 0;
  const char* target = nullptr;
  const char* object = nullptr;
  if (H5Lunpack_elink_val(value.data(), link.u.val_size, &flags, &target, &object) < 0) return "nowhere";
  return std::string(object) + " of " + target;
}

// `complaint`: what the library says where it fails; any other call would wipe it out.
Hdf5Handle try_open(const std::string& path, unsigned flags, std::string& complaint) {
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), true, true);  // the second: a file system that knows no locks is no failure
  Hdf5Handle file(H5Fopen(path.c_str(), flags, access.get()), H5Fclose);
  if (!file) complaint = hdf5_complaint();
  return file;
}

bool says(const std::string& complaint, const char* text) { return complaint.find(text) != std::string::npos; }

std::string remedy_for(const std::string& path, const std::string& complaint) {
  if (says(complaint, "lock file"))
    return "another program has it open for writing: wait until it is closed, or copy it. Where a file system refuses "
           "locks, set HDF5_USE_FILE_LOCKING=FALSE";
  if (says(complaint, "already open for write") || says(complaint, "consistency flags"))
    return "its writer is at work, or was killed. Once no program writes it: h5clear -s " + path;
  if (says(complaint, "truncated file"))
    return "its end is missing: copy it again, or, if its writer was killed, h5clear --increment " + path;
  if (says(complaint, "version") || says(complaint, "unknown message") || says(complaint, "bad flag"))
    return "its format is newer than this HDF5: let a newer HDF5 write it anew, with h5repack --high=1 (or in h5py "
           "libver=('earliest','v110'))";
  if (says(complaint, "signature not found")) return "is it an HDF5 or CXI file, and complete?";
  return "is it an HDF5 or CXI file, complete, and readable for this user?";
}

}  // namespace

Error unreadable(const std::string& what, const std::string& why, const std::string& remedy) {
  return {"file.unreadable", "cannot read " + what + ": " + why, "no frame was taken from it", remedy};
}

Result<Hdf5Handle> open_hdf5_file(const std::string& path) {
  std::error_code trouble;
  const auto about = std::filesystem::status(path, trouble);
  if (about.type() == std::filesystem::file_type::not_found)
    return unreadable(path, "there is no such file", "check the path");
  if (std::filesystem::is_directory(about)) return unreadable(path, "it is a folder", "name the files in it");
  std::string complaint, ignored;
  auto file = try_open(path, H5F_ACC_RDONLY, complaint);
  if (file) return file;
  if (says(complaint, "Too many open files")) {
    return unreadable(path, "this process may open no more files",
                      "raise its hard limit (ulimit -Hn, LimitNOFILE= of its unit)");
  }
  file = try_open(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, ignored);
  if (file) {
    spdlog::info("{} is open in a SWMR writer, or was when that was killed: it is read as it is now", path);
    return file;
  }
  return unreadable(path, complaint, remedy_for(path, complaint));
}

Result<std::optional<Hdf5Array>> look_up(hid_t file, const std::string& file_name, const std::string& path) {
  for (std::size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (part.empty() || part == "/") continue;
    if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) return std::optional<Hdf5Array>{};
    H5L_info_t link{};
    if (H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0)
      return unreadable(part + " of " + file_name, hdf5_complaint(), "the file is damaged");
    if (link.type == H5L_TYPE_HARD) continue;
    const Hdf5Handle object(H5Oopen(file, part.c_str(), H5P_DEFAULT), H5Oclose);
    if (object) continue;
    const std::string why = hdf5_complaint();
    return unreadable(part + " of " + file_name, "it is a link to " + target_of(file, part, link) + ": " + why,
                      "bring what it leads to to its place, or name another dataset with --dataset");
  }
  const Hdf5Handle object(H5Oopen(file, path.c_str(), H5P_DEFAULT), H5Oclose);
  if (!object) {
    const std::string why = hdf5_complaint();
    return unreadable(path + " of " + file_name, why, remedy_for(file_name, why));
  }
  if (H5Iget_type(object.get()) != H5I_DATASET) return std::optional<Hdf5Array>{};
  return open_array(file, path, ExternalLinks::follow);
}

}  // namespace peaknet::feed
