#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "daemon/model/builtin_model.hpp"
#include "daemon/model/model.hpp"
#if PEAKNET_MODEL_TORCHSCRIPT
#include "daemon/model/torchscript_model.hpp"
#endif

namespace peaknet::model {
namespace {

bool is_builtin(const std::string& path) { return path.starts_with("builtin:"); }

}  // namespace

Status check_model_path(const std::string& path) {
  if (path.empty()) {
    return Error{"model.missing", "model.path is not set", "nothing was started",
                 "set model.path to a TorchScript file (models/contrast.pt is one) or to builtin:threshold=COUNTS"};
  }
  if (is_builtin(path)) return {};
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return Error{"model.missing", "cannot read the model file " + path + ": " + std::strerror(errno),
                 "nothing was started",
                 "correct model.path (a relative path is taken from the folder of the configuration file)"};
  }
  if (!S_ISREG(info.st_mode))
    return Error{"model.missing", path + " is not a file", "nothing was started", "correct model.path"};
  if ((info.st_mode & S_IWOTH) != 0) {
    return Error{"model.unsafe",
                 "the model file " + path + " may be written by everybody on this machine, and a model is code",
                 "it was not loaded", "chmod o-w " + path};
  }
  if (!path.ends_with(".pt")) {
    return Error{"model.unknown-kind", path + " is not of a kind this peaknetd can load", "it was not loaded",
                 "a TorchScript file ends in .pt"};
  }
  return {};
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

Result<std::unique_ptr<Model>> load_model(const ModelRequest& request) {
  if (auto good = check_model_path(request.path); !good) return good.error();
  if (is_builtin(request.path)) return make_builtin_model(request);
#if PEAKNET_MODEL_TORCHSCRIPT
  return load_torchscript_model(request);
#else
  return Error{"model.not-built", "this peaknetd was built without LibTorch and cannot load " + request.path,
               "nothing was started", "use a build with PEAKNET_TORCH=ON (preset release), or a builtin model"};
#endif
}

}  // namespace peaknet::model
