// C++17, no torch headers.
#include <cuda_runtime.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "daemon/kernels/cuda_builtin.hpp"

namespace peaknet::kernels {
namespace cuda_detail {  // not anonymous: nvcc would put a hash of the path into the names of kernels

constexpr unsigned kThreads = 256;

// A block for each line of each row.
__global__ void threshold_logits(const TensorView input, float threshold, float* logits) {
  const auto height = static_cast<std::uint32_t>(input.shape[2]);
  const auto width = static_cast<std::uint32_t>(input.shape[3]);
  const std::uint32_t row = blockIdx.x / height;
  const std::uint32_t y = blockIdx.x - row * height;
  const float* in = static_cast<const float*>(input.data) + row * input.strides[0] + y * input.strides[2];
  const long long plane = 1LL * height * width;
  float* zero = logits + 2 * row * plane + 1LL * y * width;
  for (std::uint32_t x = threadIdx.x; x < width; x += kThreads) {
    zero[x] = 0.0F;
    zero[plane + x] = in[x * input.strides[3]] - threshold;
  }
}

__global__ void zero_logits(std::uint32_t width, float* logits) {
  for (std::uint32_t x = threadIdx.x; x < width; x += kThreads) logits[1ULL * blockIdx.x * width + x] = 0.0F;
}

class CudaBuiltinKernels final : public BuiltinKernels {
 public:
  CudaBuiltinKernels() = default;
  CudaBuiltinKernels(const CudaBuiltinKernels&) = delete;
  CudaBuiltinKernels& operator=(const CudaBuiltinKernels&) = delete;
  ~CudaBuiltinKernels() override {
    for (void* memory : memory_) cudaFree(memory);
  }

  bool make_room(const TensorView& input) override {
    const std::size_t bytes =
        2 * sizeof(float) * static_cast<std::size_t>(input.shape[0] * input.shape[2] * input.shape[3]);
    if (bytes <= room_) return true;
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes) != cudaSuccess) {
      cudaGetLastError();  // it would show up as somebody else's error later
      return false;
    }
    memory_.push_back(memory);
    room_ = bytes;
    return true;
  }

  TensorView threshold(const TensorView& input, float threshold, void* stream) override {
    const auto lines = static_cast<unsigned>(input.shape[0] * input.shape[2]);
    threshold_logits<<<lines, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(input, threshold, logits());
    return logits_of(input);
  }

  TensorView nothing(const TensorView& input, std::chrono::nanoseconds after, void* stream) override {
    after_ = after;
    const auto sleep = [](void* how_long) {
      std::this_thread::sleep_for(*static_cast<std::chrono::nanoseconds*>(how_long));
    };
    cudaLaunchHostFunc(static_cast<cudaStream_t>(stream), sleep, &after_);
    const auto lines = static_cast<unsigned>(2 * input.shape[0] * input.shape[2]);
    zero_logits<<<lines, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<std::uint32_t>(input.shape[3]),
                                                                           logits());
    return logits_of(input);
  }

 private:
  float* logits() const { return static_cast<float*>(memory_.back()); }
  TensorView logits_of(const TensorView& input) const {
    return contiguous(logits(), Element::float32, input.shape[0], 2, input.shape[2], input.shape[3]);
  }

  std::vector<void*> memory_;  // each larger than the one before
  std::size_t room_ = 0;       // bytes of the last one
  std::chrono::nanoseconds after_{0};
};

}  // namespace cuda_detail

std::unique_ptr<BuiltinKernels> make_cuda_builtin_kernels() {
  return std::make_unique<cuda_detail::CudaBuiltinKernels>();
}

}  // namespace peaknet::kernels
