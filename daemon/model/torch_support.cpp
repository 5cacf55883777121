#include "daemon/model/torch_support.hpp"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#if PEAKNET_MODEL_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#endif
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "base/processors.hpp"
#include "daemon/model/row_threads.hpp"
#include "daemon/model/torch_cuda.hpp"

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

TorchFault fault_of(const std::exception& failure) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&failure) != nullptr) return TorchFault::memory;
  return torch_fault(failure.what());
}

namespace {

// LibTorch's number of threads belongs to the thread that calls it. Asking first is no mere saving: a new thread takes
// the number that was set last anywhere when it is first asked, and would forget what it was told before.
void use_threads(std::uint32_t threads) {
  if (at::get_num_threads() != static_cast<int>(threads)) at::set_num_threads(static_cast<int>(threads));
}

TensorView part_of(const TensorView& input, const RowParts& parts, std::int64_t part) {
  TensorView view = input;
  const std::int64_t first = part * parts.rows;
  view.shape[0] = std::min(parts.rows, input.shape[0] - first);
  view.data = static_cast<std::byte*>(input.data) + first * input.strides[0] * kernels::size_of(input.element);
  return view;
}

// The logits of all parts in one tensor, which the part that is done first makes.
class Joined {
 public:
  explicit Joined(std::int64_t rows) : rows_(rows) {}
  // False: this part has another type or another number of classes than the first.
  bool put(const at::Tensor& logits, std::int64_t first) {
    if (logits.size(0) == rows_) {  // all of them: no copy
      all_ = logits;
      return true;
    }
    std::call_once(made_, [&] {
      all_ = at::empty({rows_, logits.size(1), logits.size(2), logits.size(3)}, logits.options());
    });
    if (logits.scalar_type() != all_.scalar_type() || logits.size(1) != all_.size(1)) return false;
    all_.narrow(0, first, logits.size(0)).copy_(logits);
    return true;
  }
  const at::Tensor& all() const { return all_; }

 private:
  std::int64_t rows_;
  std::once_flag made_;
  at::Tensor all_;
};

}  // namespace

TorchRun::TorchRun(std::string path, at::ScalarType type, at::Device device, std::uint32_t cpu_threads)
    : path_(std::move(path)), type_(type), device_(device), cpu_threads_(cpu_threads) {
  memory_ran_out();  // what was before it does not count
}
TorchRun::TorchRun(TorchRun&&) noexcept = default;
TorchRun::~TorchRun() = default;

Status TorchRun::operator()(const TensorView& input, [[maybe_unused]] void* stream,
                            const std::vector<std::int64_t>& offered, const Forward& forward, const Use& use) {
  return guarded(input, [&]() -> Status {
    const c10::InferenceMode no_gradients;
#if PEAKNET_MODEL_CUDA
    std::optional<c10::cuda::CUDAStreamGuard>
        on_stream;  // all work of the network, and its memory, belong to the compute stream
    if (device_.is_cuda())
      on_stream.emplace(c10::cuda::getStreamFromExternal(static_cast<cudaStream_t>(stream), device_.index()));
#endif
    at::Tensor all;
    if (device_.is_cpu()) {
      auto joined = run_shared(input, offered, forward);
      if (!joined) return joined.error();
      all = std::move(*joined);
    } else {
      all = forward(tensor_over(input));
      if (auto good = check_output(all, input); !good) return good;
    }
    use(view_of(all));
    return {};
  });
}

// The threads are found when the first batch comes: those that the thread it comes in may use.
Result<at::Tensor> TorchRun::run_shared(const TensorView& input, const std::vector<std::int64_t>& offered,
                                        const Forward& forward) {
  if (!threads_) threads_ = std::make_unique<RowThreads>(path_, cpu_threads_ != 0 ? cpu_threads_ : usable_processors());
  const RowPlan plan = share_rows(input.shape[0], input.shape[2] * input.shape[3], threads_->count(), offered);
  Joined joined(input.shape[0]);
  auto outcome = threads_->run(plan, [&](const RowParts& parts, std::int64_t part) {
    return guarded(input, [&]() -> Status {
      const c10::InferenceMode no_gradients;
      use_threads(parts.threads);
      const TensorView rows = part_of(input, parts, part);
      const at::Tensor logits = forward(tensor_over(rows));
      if (auto good = check_output(logits, rows); !good) return good;
      if (!joined.put(logits, part * parts.rows)) return bad_output(logits, rows);
      return {};
    });
  });
  if (!outcome) return outcome.error();
  return joined.all();
}

at::Tensor TorchRun::tensor_over(const TensorView& input) const {
  const auto options = at::TensorOptions().dtype(type_).device(device_);
  return at::from_blob(input.data, at::IntArrayRef(input.shape, 4), at::IntArrayRef(input.strides, 4), options);
}

// `input`: the whole batch, which the engine knows, also where a part of it failed. What cuBLAS and its like do not
// find, because LibTorch's allocator keeps it, is given back and asked for once more before a batch is called too
// large.
Status TorchRun::guarded(const TensorView& input, const std::function<Status()>& run) {
  for (bool again = device_.is_cuda() && !recording_;; again = false) {
    try {
      return run();
    } catch (const std::exception& failure) {
      TorchFault fault = fault_of(failure);
      const bool allocator_has_none = memory_ran_out();
      if (fault == TorchFault::work && allocator_has_none) fault = TorchFault::memory;
      if (fault == TorchFault::memory && !allocator_has_none && again) {
        release_cached_memory(device_.str());
        continue;
      }
      const std::string rows = std::to_string(input.shape[0]) + " rows of " + std::to_string(input.shape[2]) + "x" +
                               std::to_string(input.shape[3]);
      return error_of_run(fault, "the network " + path_ + " with a batch of " + rows, cause_of(failure));
    }
  }
}

// Has it, since this was last asked? Compiled packages, and cuDNN's search for an algorithm, say of missing memory only
// that they failed; the allocator counts.
bool TorchRun::memory_ran_out() {
  const auto shortages = memory_shortages(device_.str());
  return std::exchange(shortages_, shortages) != shortages;
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
  recording_ = true;
  return true;
}

void TorchRun::end_recording() {
  recording_ = false;
  recorded_memory_->end();
}
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
  return bad_output(logits, input);
}

Error TorchRun::bad_output(const at::Tensor& logits, const TensorView& input) const {
  return Error{"model.bad-output",
               "the network " + path_ + " returned " + shape_text(logits.sizes()) + " of " +
                   c10::toString(logits.scalar_type()) + " for an input of " +
                   shape_text({input.shape[0], 1, input.shape[2], input.shape[3]}),
               "no mask was written",
               "the model must return (rows, 2 or more classes, H, W) of float32, bfloat16 or float16"};
}

}  // namespace peaknet::model
