#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "daemon/model/builtin_model.hpp"
#include "daemon/model/model.hpp"
#include "daemon/model/model_path.hpp"
#if PEAKNET_MODEL_TORCH
#include "daemon/model/package_model.hpp"
#include "daemon/model/torchscript_model.hpp"
#endif

namespace peaknet::model {
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
  const auto sha256 = sha256_of(request.path);
  if (!sha256) return sha256.error();
  if (!request.allow.empty() && std::find(request.allow.begin(), request.allow.end(), *sha256) == request.allow.end()) {
    return Error{"model.not-allowed",
                 "the model " + request.path + " with SHA-256 " + *sha256 + " is not in model.allow",
                 "it was not loaded", "add the digest to model.allow if it is the one you mean"};
  }
#if PEAKNET_MODEL_TORCH
  return is_package(request.path) ? load_package_model(request, *sha256) : load_torchscript_model(request, *sha256);
#else
  return Error{"model.not-built", "this peaknetd was built without LibTorch and cannot load " + request.path,
               "nothing was started", "use a build with PEAKNET_TORCH=ON (preset release), or a builtin model"};
#endif
}

}  // namespace peaknet::model
