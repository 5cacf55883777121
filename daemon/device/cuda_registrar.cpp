#include "daemon/device/cuda_registrar.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "base/text.hpp"
#include "daemon/device/locked_memory.hpp"

namespace peaknet::device {

CudaRegistration::~CudaRegistration() {
  for (std::byte* chunk : registered_) cudaHostUnregister(chunk);
}

Status CudaRegistration::add_chunks() {
  for (std::size_t at = 0; at < memory_.size(); at += chunk_) {
    const std::size_t size = std::min(chunk_, memory_.size() - at);
    const cudaError_t code = cudaHostRegister(memory_.data() + at, size, cudaHostRegisterPortable);
    if (code != cudaSuccess) {
      cudaGetLastError();  // a failed registration would show up as somebody else's error later
      // Short: the control segment keeps no more of it.
      return Error{"device.not-registered",
                   human_bytes(memory_.size()) + " of slots cannot be registered: " + cudaGetErrorString(code) + " (" +
                       std::to_string(static_cast<int>(code)) + "), " + locked_memory_limit(),
                   "images are copied once more on their way", kLockMoreMemory};
    }
    registered_.push_back(memory_.data() + at);
  }
  return {};
}

Result<std::shared_ptr<const CudaRegistration>> CudaRegistrar::cover(std::span<std::byte> payload,
                                                                     std::size_t slot_bytes) {
  const std::unique_lock hold(mutex_, patience_);
  if (!hold) {
    return Error{"device.not-registered",
                 human_bytes(payload.size()) +
                     " of slots cannot be registered: the driver has not returned from doing so for another GPU",
                 "images are copied once more on their way", "see nvidia-smi and dmesg (Xid)"};
  }
  if (auto last = last_.lock(); last && payload_.data() == payload.data() && payload_.size() == payload.size())
    return last;
  Status outcome;
  for (std::size_t most = chunk_;;) {
    const std::size_t chunk = std::max<std::size_t>(1, most / slot_bytes) * slot_bytes;
    auto registration = std::make_shared<CudaRegistration>(payload, chunk);
    outcome = registration->add_chunks();
    if (outcome.ok()) {
      last_ = registration;
      payload_ = payload;
      return std::shared_ptr<const CudaRegistration>(std::move(registration));
    }
    most /= 2;
    if (most < kSmallestChunk) return outcome.error();
  }
}

}  // namespace peaknet::device
