#include "daemon/model/torchscript_model.hpp"

#include <torch/script.h>

#include <utility>

#include "daemon/model/torch_cuda.hpp"
#include "daemon/model/torch_support.hpp"

namespace peaknet::model {
namespace {

class TorchScriptModel final : public Model {
 public:
  TorchScriptModel(const std::string& device, ModelInfo info, torch::jit::Module module, TorchRun run)
      : memory_(device), info_(std::move(info)), module_(std::move(module)), run_(std::move(run)) {}

  const ModelInfo& info() const override { return info_; }

  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    return run_(
        input, stream, {}, [&](const at::Tensor& batch) { return module_.forward({batch}).toTensor(); }, use);
  }
  bool begin_recording(void* stream) override { return run_.begin_recording(stream); }
  void end_recording() override { run_.end_recording(); }
  void trim() override { run_.trim(); }

 private:
  LastToGo memory_;
  ModelInfo info_;
  torch::jit::Module module_;
  TorchRun run_;
};

}  // namespace

Result<std::unique_ptr<Model>> load_torchscript_model(const ModelRequest& request, const std::string& sha256) {
  if (auto loaded = load_cuda_side(request.device); !loaded) return loaded.error();
  try {
    const c10::InferenceMode no_gradients;
    const at::Device device(request.device);
    const auto type = scalar_type(request.element);
    torch::jit::Module module;
    on_load_stream(request.device, [&] {
      module = torch::jit::load(request.path, device);
      module.eval();
      if (type != at::kFloat) module.to(type);
    });
    return std::unique_ptr<Model>(new TorchScriptModel(request.device, {request.path, "torchscript", sha256, {}},
                                                       std::move(module),
                                                       {request.path, type, device, request.cpu_threads}));
  } catch (const std::exception& failure) {
    release_cached_memory(request.device);  // what there was of it is gone
    return error_of_load(fault_of(failure), "the model " + request.path + " on " + request.device, cause_of(failure),
                         "check that the file is a whole TorchScript archive made with torch.jit.save");
  }
}

}  // namespace peaknet::model
