#include "tests/unit/daemon/engine/gpu_script.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

namespace peaknet::engine::test {

bool has_pixel(const kernels::TensorView& input, float value, void* stream) {
  std::vector<float> pixels(static_cast<std::size_t>(input.shape[0] * input.shape[2] * input.shape[3]));
  auto* const on = static_cast<cudaStream_t>(stream);
  cudaMemcpyAsync(pixels.data(), input.data, pixels.size() * sizeof(float), cudaMemcpyDeviceToHost, on);
  cudaStreamSynchronize(on);
  return std::find(pixels.begin(), pixels.end(), value) != pixels.end();
}

void call_in_order(std::function<void()>& work, void* stream) {
  cudaLaunchHostFunc(
      static_cast<cudaStream_t>(stream), [](void* function) { (*static_cast<std::function<void()>*>(function))(); },
      &work);
}

}  // namespace peaknet::engine::test
