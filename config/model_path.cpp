#include "config/model_path.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/model_form.hpp"

namespace peaknet::model {

namespace {

// The folder above the file, or one above that, in which anybody may put another file in its place. In a folder with
// the sticky bit (/tmp) only the owner of a file may.
Status check_folders(const std::string& path) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  for (auto folder = real.parent_path(); !failed && folder.has_relative_path(); folder = folder.parent_path()) {
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0 || (info.st_mode & S_IWOTH) == 0 || (info.st_mode & S_ISVTX) != 0) continue;
    return Error{"model.unsafe",
                 "the folder " + folder.string() + " of the model file " + path +
                     " may be written by everybody on this machine, and a model is code",
                 "it was not loaded", "chmod o-w " + folder.string()};
  }
  return {};
}

}  // namespace

bool is_builtin(const std::string& path) { return path.starts_with("builtin:"); }
bool is_package(const std::string& path) { return path.ends_with(".pt2"); }

Status check_model_path(const std::string& path, const std::string& key) {
  if (path.empty()) {
    return Error{"model.missing", key + " is not set", "nothing was started",
                 "set " + key +
                     " to a TorchScript file (models/contrast.pt is one), to a package (.pt2) or to "
                     "builtin:threshold=COUNTS"};
  }
  if (is_builtin(path)) return {};
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return Error{"model.missing", "cannot read the model file " + path + ": " + std::strerror(errno),
                 "nothing was started",
                 "correct " + key + " (a relative path is taken from the folder of the configuration file)"};
  }
  if (!S_ISREG(info.st_mode))
    return Error{"model.missing", path + " is not a file", "nothing was started", "correct " + key};
  if ((info.st_mode & S_IWOTH) != 0) {
    return Error{"model.unsafe",
                 "the model file " + path + " may be written by everybody on this machine, and a model is code",
                 "it was not loaded", "chmod o-w " + path};
  }
  if (!path.ends_with(".pt") && !is_package(path)) {
    return Error{"model.unknown-kind", path + " is not of a kind this peaknetd can load", "it was not loaded",
                 remedy_for_name(path)};
  }
  return check_folders(path);
}

Status check_allowed(const std::string& path, const std::string& sha256, const std::vector<std::string>& allow) {
  if (allow.empty() || std::find(allow.begin(), allow.end(), sha256) != allow.end()) return {};
  return Error{"model.not-allowed", "the model " + path + " with SHA-256 " + sha256 + " is not in model.allow",
               "it was not loaded", "add the digest to model.allow if it is the one you mean"};
}

}  // namespace peaknet::model
