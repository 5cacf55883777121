// What builtin models compute on a CUDA device (daemon/model/cuda_builtin_model.hpp), with memory of their own. What is
// put on the stream can be recorded as a graph.
//
// Threads: one object serves one model and is used by the worker of its device alone, with that device current; its
// logits are written by one run after the other in the order of the stream. Errors of the launches are sticky in the
// runtime and are read by CudaDevice::health.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::kernels {

class BuiltinKernels {
 public:
  virtual ~BuiltinKernels() = default;

  // Logits of two classes for an input of this shape. What there was room for before stays where it is: a graph may
  // have recorded it. Allocates memory, so what is recorded has run once before. False: the device has no memory left.
  virtual bool make_room(const TensorView& input) = 0;

  // Both enqueue and return the logits, float32; there is room for them.
  // (0, x - threshold) of each pixel x of an input of float32, with any strides.
  virtual TensorView threshold(const TensorView& input, float threshold, void* stream) = 0;
  // (0, 0) of each pixel, after a thread of the driver has slept.
  virtual TensorView nothing(const TensorView& input, std::chrono::nanoseconds after, void* stream) = 0;
};

std::unique_ptr<BuiltinKernels> make_cuda_builtin_kernels();

}  // namespace peaknet::kernels
