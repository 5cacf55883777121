#include "config/readable_hdf5.hpp"

#include <filesystem>

#include "base/special_file.hpp"

namespace peaknet::config {
namespace {

herr_t keep_innermost(unsigned, const H5E_error2_t* error, void* out) {
  if (error->desc != nullptr && error->desc[0] != '\0') *static_cast<std::string*>(out) = error->desc;
  return 1;  // the first that is visited is the innermost
}

bool says(const std::string& complaint, const char* text) { return complaint.find(text) != std::string::npos; }

// `said`: where it fails; any other call would wipe it out.
hid_t try_open(const std::string& path, unsigned flags, std::string& said) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, true, true);  // the second: a file system that knows no locks is no failure
  // The buffer for small reads is taken for filled after a read that failed, and gives memory of somebody else.
  H5Pset_sieve_buf_size(access, 0);
  const hid_t file = H5Fopen(path.c_str(), flags, access);
  if (file < 0) said = hdf5_said();
  H5Pclose(access);
  return file;
}

// Called by HDF5 before it opens the file that an external link names, which it looks for in several places; HDF5 knows
// no exceptions.
herr_t refuse_special(const char* parent, const char*, const char* child, const char*, unsigned*, hid_t,
                      void*) noexcept {
  try {
    const auto beside = std::filesystem::path(parent).parent_path() / child;
    if (!is_special_file(beside.string()) && !is_special_file(child)) return 0;
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_LINK, H5E_CANTOPENFILE, "%s", kSpecialFile);
  } catch (...) {
  }
  return -1;
}

}  // namespace

void follow_no_special_file(hid_t access) { H5Pset_elink_cb(access, refuse_special, nullptr); }

std::string hdf5_said() {
  std::string text = "no details";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  return text;
}

std::string hdf5_remedy(const std::string& path, const std::string& said) {
  if (says(said, "lock file"))
    return "another program has it open for writing: wait until it is closed, or copy it. Where a file system refuses "
           "locks, set HDF5_USE_FILE_LOCKING=FALSE";
  if (says(said, "already open for write") || says(said, "consistency flags"))
    return "its writer is at work, or was killed. Once no program writes it: h5clear -s " + path;
  if (says(said, "truncated file"))
    return "its end is missing: copy it again, or, if its writer was killed, h5clear --increment " + path;
  if (says(said, "version") || says(said, "unknown message") || says(said, "bad flag"))
    return "its format is newer than this HDF5: let a newer HDF5 write it anew, with h5repack --high=1 (or in h5py "
           "libver=('earliest','v110'))";
  if (says(said, "signature not found")) return "is it an HDF5 or CXI file, and complete?";
  return "is it an HDF5 or CXI file, complete, and readable for this user?";
}

ReadableHdf5 open_readable_hdf5(const std::string& path) {
  ReadableHdf5 opened;
  if (is_special_file(path)) {
    opened.why = kSpecialFile;
    opened.remedy = "copy what comes from it into a file";
    return opened;
  }
  opened.file = try_open(path, H5F_ACC_RDONLY, opened.why);
  if (opened.file >= 0) return opened;
  if (says(opened.why, "Too many open files")) {
    opened.why = "this process may open no more files";
    opened.remedy = "raise its hard limit (ulimit -Hn, LimitNOFILE= of its unit)";
    return opened;
  }
  std::string ignored;
  opened.file = try_open(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, ignored);
  opened.of_swmr_writer = opened.file >= 0;
  if (opened.file < 0) opened.remedy = hdf5_remedy(path, opened.why);
  return opened;
}

}  // namespace peaknet::config
