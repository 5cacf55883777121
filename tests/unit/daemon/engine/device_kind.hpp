// The device that tests of the engine run on where they do not ask for a staged one: the host's, or a CUDA device with
// PEAKNET_TEST_DEVICE=cuda in the environment, as tests/gpusim runs them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/device/host_device.hpp"
#if PEAKNET_TEST_CUDA
#include "daemon/device/cuda_device.hpp"
#endif

namespace peaknet::engine::test {

inline bool on_cuda() {
  const char* kind = std::getenv("PEAKNET_TEST_DEVICE");
  return kind != nullptr && std::string_view(kind) == "cuda";
}

inline std::string device_name(std::uint32_t index) { return on_cuda() ? "cuda:" + std::to_string(index) : "cpu"; }

inline Result<std::unique_ptr<device::Device>> make_device([[maybe_unused]] std::uint32_t index) {
#if PEAKNET_TEST_CUDA
  static const auto registrar = std::make_shared<device::CudaRegistrar>();  // of the process, as in the service
  if (on_cuda()) return device::make_cuda_device(device_name(index), registrar);
#endif
  if (on_cuda())
    return Error{"device.not-built", "PEAKNET_TEST_DEVICE=cuda, and these tests were built without CUDA", "", ""};
  return device::make_host_device();
}

}  // namespace peaknet::engine::test
