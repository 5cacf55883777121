#include "feed/hdf5_open.hpp"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace peaknet::feed {
namespace {

Hdf5Handle try_open(const std::string& path, unsigned flags) {
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), true, true);  // the second: a file system that knows no locks is no failure
  return {H5Fopen(path.c_str(), flags, access.get()), H5Fclose};
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
  auto file = try_open(path, H5F_ACC_RDONLY);
  if (file) return file;
  std::string complaint = hdf5_complaint();
  if (errno == EMFILE || errno == ENFILE || says(complaint, "Too many open files")) {
    return unreadable(path, "this process may open no more files",
                      "raise its hard limit (ulimit -Hn, LimitNOFILE= of its unit)");
  }
  file = try_open(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ);
  if (file) {
    spdlog::info("{} is open in a SWMR writer, or was when that was killed: it is read as it is now", path);
    return file;
  }
  return unreadable(path, complaint, remedy_for(path, complaint));
}

}  // namespace peaknet::feed
