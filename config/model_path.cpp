#include "config/model_path.hpp"

#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

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
                 "a TorchScript file ends in .pt, a compiled package in .pt2; models/export.py makes both"};
  }
  return check_folders(path);
}

Status check_model_form(const std::string& path) {
  if (is_builtin(path)) return {};
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error{"model.unreadable", "cannot read " + path + ": " + std::strerror(errno), "nothing was started",
                 "check the file and its rights"};
  }
  // Both kinds are archives as zip makes them.
  constexpr std::string_view kArchive = "PK\x03\x04";
  std::array<char, kArchive.size()> begin{};
  file.read(begin.data(), begin.size());
  if (file && std::string_view(begin.data(), begin.size()) == kArchive) return {};
  return Error{"model.not-a-model", path + " does not begin as a TorchScript file or a package does",
               "nothing was started", "is it a checkpoint, with weights alone? models/export.py makes a model of it"};
}

Result<std::string> sha256_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::array<char, 65536> block{};
  while (file) {
    file.read(block.data(), block.size());
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(block.data()),
                              static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) {
    return Error{"model.unreadable", "cannot read " + path + ": " + std::strerror(errno), "no other model was touched",
                 "check the file and its rights"};
  }
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256_final(&state, digest.data());
  std::array<char, 2 * crypto_hash_sha256_BYTES + 1> text{};
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  return std::string(text.data());
}

Status check_allowed(const std::string& path, const std::string& sha256, const std::vector<std::string>& allow) {
  if (allow.empty() || std::find(allow.begin(), allow.end(), sha256) != allow.end()) return {};
  return Error{"model.not-allowed", "the model " + path + " with SHA-256 " + sha256 + " is not in model.allow",
               "it was not loaded", "add the digest to model.allow if it is the one you mean"};
}

}  // namespace peaknet::model
