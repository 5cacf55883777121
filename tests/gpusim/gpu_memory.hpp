// GpuMemory: for tests of kernels: memory of the current CUDA device and a stream, without the product's own device
// around them. Everything it gave out is freed with it.
//
// Threads: one. Errors: the runtime's, as failures of the test.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace peaknet::gpusim {

class GpuMemory {
 public:
  GpuMemory() { expect(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;
  ~GpuMemory() {
    wait();
    for (void* memory : held_) expect(cudaFree(memory));
    expect(cudaStreamDestroy(stream_));
  }
  cudaStream_t stream() const { return stream_; }
  void wait() { expect(cudaStreamSynchronize(stream_)); }

  // Nobody has written it.
  template <class Value>
  Value* room(std::size_t count) {
    void* memory = nullptr;
    expect(cudaMalloc(&memory, count * sizeof(Value)));
    held_.push_back(memory);
    return static_cast<Value*>(memory);
  }
  template <class Value>
  Value* copy(const std::vector<Value>& values) {
    Value* memory = room<Value>(values.size());
    expect(cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice, stream_));
    return memory;
  }
  template <class Value>
  std::vector<Value> values(const Value* memory, std::size_t count) {
    std::vector<Value> all(count);
    expect(cudaMemcpyAsync(all.data(), memory, count * sizeof(Value), cudaMemcpyDeviceToHost, stream_));
    wait();
    return all;
  }

 private:
  static void expect(cudaError_t code) { EXPECT_EQ(code, cudaSuccess) << cudaGetErrorString(code); }

  cudaStream_t stream_ = nullptr;
  std::vector<void*> held_;
};

}  // namespace peaknet::gpusim
