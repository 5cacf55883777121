#include "config/model_file.hpp"
#include "config/model_path.hpp"
#include "daemon/model/builtin_model.hpp"
#include "daemon/model/model.hpp"
#if PEAKNET_MODEL_BUILTIN_CUDA
#include "daemon/model/cuda_builtin_model.hpp"
#endif
#if PEAKNET_MODEL_TORCH
#include "daemon/model/package_model.hpp"
#include "daemon/model/torch_cuda.hpp"
#include "daemon/model/torchscript_model.hpp"
#endif

namespace peaknet::model {

Result<std::unique_ptr<Model>> load_model(const ModelRequest& request) {
  if (auto good = check_model_path(request.path); !good) return good.error();
#if PEAKNET_MODEL_BUILTIN_CUDA
  if (is_builtin(request.path) && request.device != "cpu") return make_cuda_builtin_model(request);
#endif
  if (is_builtin(request.path)) return make_builtin_model(request);
#if PEAKNET_MODEL_TORCH
  const auto files = request.files ? request.files : std::make_shared<ModelFiles>();
  const auto sha256 = files->sound_sha256(request.path);
  if (!sha256) return sha256.error();
  if (auto good = check_allowed(request.path, *sha256, request.allow); !good) return good.error();
  return is_package(request.path) ? load_package_model(request, *sha256) : load_torchscript_model(request, *sha256);
#else
  return Error{"model.not-built", "this peaknetd was built without LibTorch and cannot load " + request.path,
               "nothing was started", "use a build with PEAKNET_TORCH=ON (preset release), or a builtin model"};
#endif
}

#if PEAKNET_MODEL_TORCH
Status prepare_to_load(const std::string& path, const std::vector<std::string>& devices) {
  if (is_builtin(path)) return {};
  for (const auto& device : devices) {
    if (auto loaded = load_cuda_side(device); !loaded) return loaded;
  }
  return {};
}
#else
Status prepare_to_load(const std::string& /*path*/, const std::vector<std::string>& /*devices*/) { return {}; }
void release_cached_memory(const std::string& /*device*/) {}
#endif

}  // namespace peaknet::model
