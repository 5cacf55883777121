// What the two kinds of torch models share: views, runs, and checks of what a network returned. Includes torch; only
// torchscript_model.cpp and package_model.cpp include this. Thread-compatible.
#pragma once

#include <ATen/ATen.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/model/model.hpp"
#include "daemon/model/torch_failure.hpp"

namespace peaknet::model {

class RowThreads;

at::ScalarType scalar_type(kernels::Element element);
kernels::TensorView view_of(const at::Tensor& logits);
std::string shape_text(at::IntArrayRef sizes);

// See torch_failure.hpp; LibTorch's own type for missing memory counts whatever its text is.
TorchFault fault_of(const std::exception& failure);

// One run of a network: `forward` gets the input as a tensor over the same memory, in inference mode, on `stream`; its
// logits are checked and given to `use`. Errors are those of Model::run.
//
// On the processor the rows are shared: parts of a few rows run at the same time, each with one thread, and nobody
// waits for anybody between two steps of the network. So `forward` is called from several threads at once. Where there
// are fewer parts than threads, each part may use several (ThreadChoice); one row alone is one part. The logits are
// joined.
class TorchRun {
 public:
  TorchRun(std::string path, at::ScalarType type, at::Device device, std::uint32_t cpu_threads);
  TorchRun(TorchRun&&) noexcept;
  ~TorchRun();

  using Forward = std::function<at::Tensor(const at::Tensor& batch)>;
  using Use = std::function<void(const kernels::TensorView&)>;
  // `offered`: the network runs with these numbers of rows alone; empty: with any.
  Status operator()(const kernels::TensorView& input, void* stream, const std::vector<std::int64_t>& offered,
                    const Forward& forward, const Use& use);

  // See Model::begin_recording: on CUDA the runs' memory comes from a pool of their own in between.
  bool begin_recording(void* stream);
  void end_recording();
  void trim() { release_cached_memory(device_.str()); }

 private:
  class RecordedMemory;
  Status guarded(const kernels::TensorView& input, const std::function<Status()>& run);
  bool memory_ran_out();
  Result<at::Tensor> run_shared(const kernels::TensorView& input, const std::vector<std::int64_t>& offered,
                                const Forward& forward);
  at::Tensor tensor_over(const kernels::TensorView& input) const;
  Status check_output(const at::Tensor& logits, const kernels::TensorView& input) const;
  Error bad_output(const at::Tensor& logits, const kernels::TensorView& input) const;

  std::string path_;
  at::ScalarType type_;
  at::Device device_;
  std::uint32_t cpu_threads_;
  bool recording_ = false;
  std::int64_t shortages_ = 0;                       // that LibTorch's allocator has had on the device
  std::unique_ptr<RowThreads> threads_;              // null: no batch came yet, or it runs on a GPU
  std::shared_ptr<RecordedMemory> recorded_memory_;  // the pool; null: none
};

}  // namespace peaknet::model
