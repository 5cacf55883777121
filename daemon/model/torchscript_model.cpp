#include "daemon/model/torchscript_model.hpp"

#include <ATen/Parallel.h>
#include <torch/script.h>
#if PEAKNET_MODEL_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <dlfcn.h>
#endif

#include <algorithm>
#include <optional>
#include <string_view>
#include <thread>

namespace peaknet::model {
namespace {

using kernels::Element;
using kernels::TensorView;

at::ScalarType scalar_type(Element element) {
  switch (element) {
    case Element::float32:
      return at::kFloat;
    case Element::bfloat16:
      return at::kBFloat16;
    case Element::float16:
      return at::kHalf;
  }
  return at::kFloat;
}

#if PEAKNET_MODEL_CUDA
// libtorch_cuda registers its operators when it is loaded. It is not linked, so that a machine without the large CUDA
// libraries runs the CPU build's way; it is loaded once, when the first model goes to a GPU, and stays.
Status load_cuda_operators() {
  static const std::string failure = [] {
    if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return std::string{};
    const char* cause = ::dlerror();
    return std::string(cause != nullptr ? cause : "unknown cause");
  }();
  if (failure.empty()) return {};
  return Error{"model.not-built", "the CUDA side of LibTorch cannot be loaded: " + failure, "nothing was started",
               "install the CUDA libraries that the torch wheel names as its requirements beside it, or set "
               "engine.devices: cpu"};
}
#endif

// The one line of a torch exception that says why; around it are stacks of no use to an operator. The interpreter names
// the cause last, everybody else first (after an empty line, if the source could not be compiled).
std::string cause_of(const std::exception& failure) {
  constexpr std::string_view kInterpreter = "\nRuntimeError: ";
  const std::string text = failure.what();
  const std::size_t last = text.rfind(kInterpreter);
  const std::size_t begin =
      last != std::string::npos ? last + kInterpreter.size() : std::min(text.find_first_not_of('\n'), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string shape_text(const at::Tensor& tensor) {
  std::string text = "(";
  for (const auto size : tensor.sizes()) text += (text.size() > 1 ? "," : "") + std::to_string(size);
  return text + ")";
}

class TorchScriptModel final : public Model {
 public:
  TorchScriptModel(ModelInfo info, torch::jit::Module module, at::ScalarType type, at::Device device,
                   std::uint32_t threads)
      : info_(std::move(info)), module_(std::move(module)), type_(type), device_(device), threads_(threads) {}

  const ModelInfo& info() const override { return info_; }

  Status run(const TensorView& input, [[maybe_unused]] void* stream,
             const std::function<void(const TensorView&)>& use) override {
    if (!threads_set_) {  // the number of threads belongs to the calling thread
      if (device_.is_cpu()) at::set_num_threads(static_cast<int>(threads_));
      threads_set_ = true;
    }
    try {
      const c10::InferenceMode no_gradients;
#if PEAKNET_MODEL_CUDA
      std::optional<c10::cuda::CUDAStreamGuard>
          on_stream;  // all work of the network, and its memory, belong to the compute stream
      if (device_.is_cuda())
        on_stream.emplace(c10::cuda::getStreamFromExternal(static_cast<cudaStream_t>(stream), device_.index()));
#endif
      const auto options = at::TensorOptions().dtype(type_).device(device_);
      const at::Tensor batch =
          at::from_blob(input.data, {input.shape[0], input.shape[1], input.shape[2], input.shape[3]},
                        {input.strides[0], input.strides[1], input.strides[2], input.strides[3]}, options);
      const at::Tensor logits = module_.forward({batch}).toTensor();
      if (auto good = check_output(logits, input); !good) return good;
      use(view_of(logits));
      return {};
    } catch (const c10::OutOfMemoryError& full) {
      return Error{"device.no-memory",
                   "the network " + info_.path + " needs more memory than there is for " +
                       std::to_string(input.shape[0]) + " rows of " + std::to_string(input.shape[2]) + "x" +
                       std::to_string(input.shape[3]) + ": " + cause_of(full),
                   "its frames are tried again in smaller batches", "a smaller engine.batch"};
    } catch (const std::exception& failure) {
      return Error{"model.failed",
                   "the network " + info_.path + " failed on a batch of " + std::to_string(input.shape[0]) +
                       " rows of " + std::to_string(input.shape[2]) + "x" + std::to_string(input.shape[3]) + ": " +
                       cause_of(failure),
                   "its frames are tried one by one", "check that the model takes (rows,1,H,W) of this size"};
    }
  }

 private:
  Status check_output(const at::Tensor& logits, const TensorView& input) const {
    const auto type = logits.scalar_type();
    const bool known = type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
    if (known && logits.dim() == 4 && logits.size(0) == input.shape[0] && logits.size(1) >= 2 &&
        logits.size(2) == input.shape[2] && logits.size(3) == input.shape[3] && logits.device() == device_) {
      return {};
    }
    return Error{"model.bad-output",
                 "the network " + info_.path + " returned " + shape_text(logits) + " of " + c10::toString(type) +
                     " for an input of (" + std::to_string(input.shape[0]) + ",1," + std::to_string(input.shape[2]) +
                     "," + std::to_string(input.shape[3]) + ")",
                 "no mask was written",
                 "the model must return (rows, 2 or more classes, H, W) of float32, bfloat16 or float16"};
  }

  static TensorView view_of(const at::Tensor& logits) {
    TensorView view;
    view.data = logits.data_ptr();
    view.element = logits.scalar_type() == at::kFloat      ? Element::float32
                   : logits.scalar_type() == at::kBFloat16 ? Element::bfloat16
                                                           : Element::float16;
    for (int i = 0; i < 4; ++i) {
      view.shape[i] = logits.size(i);
      view.strides[i] = logits.stride(i);
    }
    return view;
  }

  ModelInfo info_;
  torch::jit::Module module_;
  at::ScalarType type_;
  at::Device device_;
  std::uint32_t threads_;
  bool threads_set_ = false;
};

}  // namespace

Result<std::unique_ptr<Model>> load_torchscript_model(const ModelRequest& request) {
  auto hash = sha256_of(request.path);
  if (!hash) return hash.error();
#if PEAKNET_MODEL_CUDA
  if (request.device.starts_with("cuda")) {
    if (auto loaded = load_cuda_operators(); !loaded) return loaded.error();
  }
#endif
  try {
    const c10::InferenceMode no_gradients;
    const at::Device device(request.device);
    torch::jit::Module module = torch::jit::load(request.path, device);
    module.eval();
    const auto type = scalar_type(request.element);
    if (type != at::kFloat) module.to(type);
    const std::uint32_t threads =
        request.cpu_threads != 0 ? request.cpu_threads : std::max(1U, std::thread::hardware_concurrency());
    return std::unique_ptr<Model>(new TorchScriptModel({request.path, "torchscript", std::move(*hash)},
                                                       std::move(module), type, device, threads));
  } catch (const std::exception& failure) {
    return Error{"model.unreadable",
                 "cannot load the model " + request.path + " on " + request.device + ": " + cause_of(failure),
                 "no other model was touched",
                 "check that the file is a whole TorchScript archive made with torch.jit.save"};
  }
}

}  // namespace peaknet::model
