#include "daemon/model/torch_support.hpp"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#if PEAKNET_MODEL_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <dlfcn.h>
#endif

#include <algorithm>
#include <atomic>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace peaknet::model {

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

TensorView view_of(const at::Tensor& logits) {
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

std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "(";
  for (const auto size : sizes) text += (text.size() > 1 ? "," : "") + std::to_string(size);
  return text + ")";
}

// The interpreter names the cause last, everybody else first (after an empty line, if the source could not be
// compiled).
std::string cause_of(const std::exception& failure) {
  constexpr std::string_view kInterpreter = "\nRuntimeError: ";
  const std::string text = failure.what();
  const std::size_t last = text.rfind(kInterpreter);
  const std::size_t begin =
      last != std::string::npos ? last + kInterpreter.size() : std::min(text.find_first_not_of('\n'), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

#if PEAKNET_MODEL_CUDA
// libtorch_cuda registers its operators when it is loaded. It is not linked, so that a machine without the large CUDA
// libraries runs the CPU build's way; it is loaded once, when the first model goes to a GPU, and stays.
Status load_cuda_side(const std::string& device) {
  if (!device.starts_with("cuda")) return {};
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
#else
Status load_cuda_side(const std::string& /*device*/) { return {}; }
#endif

TorchRun::TorchRun(std::string path, at::ScalarType type, at::Device device, std::uint32_t cpu_threads)
    : path_(std::move(path)),
      type_(type),
      device_(device),
      threads_(cpu_threads != 0 ? cpu_threads : std::max(1U, std::thread::hardware_concurrency())) {}

Status TorchRun::operator()(const TensorView& input, [[maybe_unused]] void* stream,
                            const std::function<at::Tensor(const at::Tensor&)>& forward,
                            const std::function<void(const TensorView&)>& use) {
  if (!threads_set_) {  // the number of threads belongs to the calling thread
    if (device_.is_cpu()) at::set_num_threads(static_cast<int>(threads_));
    threads_set_ = true;
  }
  const auto rows_text = [&] {
    return std::to_string(input.shape[0]) + " rows of " + std::to_string(input.shape[2]) + "x" +
           std::to_string(input.shape[3]);
  };
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
        at::from_blob(input.data, at::IntArrayRef(input.shape, 4), at::IntArrayRef(input.strides, 4), options);
    const at::Tensor logits = forward(batch);
    if (auto good = check_output(logits, input); !good) return good;
    use(view_of(logits));
    return {};
  } catch (const c10::OutOfMemoryError& full) {
    return Error{"device.no-memory",
                 "the network " + path_ + " needs more memory than there is for " + rows_text() + ": " + cause_of(full),
                 "its frames are tried again in smaller batches", "a smaller engine.batch"};
  } catch (const std::exception& failure) {
    return Error{"model.failed",
                 "the network " + path_ + " failed on a batch of " + rows_text() + ": " + cause_of(failure),
                 "its frames are tried one by one", "check that the model takes (rows,1,H,W) of this size"};
  }
}

#if PEAKNET_MODEL_CUDA
// Memory of LibTorch's allocator that serves recorded runs and nothing else, so that what a graph writes to is nobody
// else's. All graphs of a model share it: they run one after the other.
class TorchRun::RecordedMemory {
 public:
  explicit RecordedMemory(c10::DeviceIndex device) : device_(device) {}
  RecordedMemory(const RecordedMemory&) = delete;
  RecordedMemory& operator=(const RecordedMemory&) = delete;
  ~RecordedMemory() {
    for (; uses_ > 0; --uses_) c10::cuda::CUDACachingAllocator::releasePool(device_, id_);
  }
  void begin(cudaStream_t stream) {
    c10::cuda::CUDACachingAllocator::beginAllocateToPool(device_, id_,
                                                         [stream](cudaStream_t other) { return other == stream; });
    ++uses_;
  }
  void end() { c10::cuda::CUDACachingAllocator::endAllocateToPool(device_, id_); }

 private:
  // Pools that LibTorch makes itself count up from 1 in either place.
  static c10::MempoolId_t next_id() {
    static std::atomic<unsigned long long> last{1ULL << 40};
    return {++last, 0};
  }
  c10::DeviceIndex device_;
  c10::MempoolId_t id_ = next_id();
  int uses_ = 0;
};

bool TorchRun::begin_recording(void* stream) {
  if (!device_.is_cuda()) return false;
  if (!recorded_memory_) recorded_memory_ = std::make_shared<RecordedMemory>(device_.index());
  recorded_memory_->begin(static_cast<cudaStream_t>(stream));
  return true;
}

void TorchRun::end_recording() { recorded_memory_->end(); }
#else
bool TorchRun::begin_recording(void* /*stream*/) { return false; }
void TorchRun::end_recording() {}
#endif

Status TorchRun::check_output(const at::Tensor& logits, const TensorView& input) const {
  const auto type = logits.scalar_type();
  const bool known = type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
  if (known && logits.dim() == 4 && logits.size(0) == input.shape[0] && logits.size(1) >= 2 &&
      logits.size(2) == input.shape[2] && logits.size(3) == input.shape[3] && logits.device() == device_) {
    return {};
  }
  return Error{"model.bad-output",
               "the network " + path_ + " returned " + shape_text(logits.sizes()) + " of " + c10::toString(type) +
                   " for an input of " + shape_text({input.shape[0], 1, input.shape[2], input.shape[3]}),
               "no mask was written",
               "the model must return (rows, 2 or more classes, H, W) of float32, bfloat16 or float16"};
}

}  // namespace peaknet::model
