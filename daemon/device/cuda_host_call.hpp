// Functions in the order of a CUDA stream, called by a thread of the driver.
//
// Threads: call_on_stream() the worker's; the function runs on the driver's and must not call CUDA. Errors: what the
// driver says. After the loss of a device the driver may never call; what was begun is counted until it ends.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

namespace peaknet::device {

struct HostCalls {
  std::atomic<int> under_way{0};
};

struct HostCall {
  std::function<void()> work;
  std::shared_ptr<HostCalls> calls;
};

inline cudaError_t call_on_stream(cudaStream_t stream, const std::shared_ptr<HostCalls>& calls,
                                  std::function<void()> work) {
  auto boxed = std::make_unique<HostCall>(HostCall{std::move(work), calls});
  const auto call = [](void* argument) {
    const std::unique_ptr<HostCall> owned(static_cast<HostCall*>(argument));
    owned->calls->under_way.fetch_add(1);
    owned->work();
    owned->calls->under_way.fetch_sub(1);
  };
  const cudaError_t code = cudaLaunchHostFunc(stream, call, boxed.get());
  if (code == cudaSuccess) static_cast<void>(boxed.release());  // the driver calls once, or never if the device is lost
  return code;
}

}  // namespace peaknet::device
