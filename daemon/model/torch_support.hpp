// What the two kinds of torch models share: views, checks of what a network returned, and what an exception of torch
// means. Includes torch; only torchscript_model.cpp and package_model.cpp include this. Thread-compatible.
#pragma once

#include <ATen/ATen.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "daemon/model/model.hpp"

namespace peaknet::model {

at::ScalarType scalar_type(kernels::Element element);
kernels::TensorView view_of(const at::Tensor& logits);
std::string shape_text(at::IntArrayRef sizes);

// The one line of a torch exception that says why; around it are stacks of no use to an operator.
std::string cause_of(const std::exception& failure);

// Make the CUDA side of LibTorch known, once per process. Ok where `device` is the processor. Errors: model.not-built.
Status load_cuda_side(const std::string& device);

// One run of a network: `forward` gets the input as a tensor over the same memory, in inference mode, on `stream`; its
// logits are checked and given to `use`. Errors are those of Model::run.
class TorchRun {
 public:
  TorchRun(std::string path, at::ScalarType type, at::Device device, std::uint32_t cpu_threads);

  Status operator()(const kernels::TensorView& input, void* stream,
                    const std::function<at::Tensor(const at::Tensor& batch)>& forward,
                    const std::function<void(const kernels::TensorView&)>& use);

  // See Model::begin_recording: on CUDA the runs' memory comes from a pool of their own in between.
  bool begin_recording(void* stream);
  void end_recording();

 private:
  Status check_output(const at::Tensor& logits, const kernels::TensorView& input) const;

  std::string path_;
  at::ScalarType type_;
  at::Device device_;
  std::uint32_t threads_;
  bool threads_set_ = false;
  class RecordedMemory;
  std::shared_ptr<RecordedMemory> recorded_memory_;  // the pool; null: none
};

}  // namespace peaknet::model
