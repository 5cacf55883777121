// What CUDA's error codes mean for a device and its frames. Any thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

#include "base/result.hpp"
#include "base/text.hpp"
#include "daemon/device/locked_memory.hpp"

namespace peaknet::device {

// "cudaErrorX text (code)".
inline std::string cuda_text(cudaError_t code) {
  return std::string(cudaGetErrorString(code)) + " (" + std::to_string(static_cast<int>(code)) + ")";
}

// `device` failed while `doing`: nothing that is on it can be believed any more.
inline Error lost(const std::string& device, const std::string& doing, cudaError_t code) {
  return {"device.lost", device + ": " + doing + " failed: " + cuda_text(code),
          "the frames on it go back to Q1; other devices go on",
          "see nvidia-smi and dmesg for an XID; restart peaknetd"};
}

inline Error no_pinned_memory(const std::string& device, std::size_t bytes, cudaError_t code) {
  return {"device.no-pinned-memory",
          device + ": the driver could not pin " + human_bytes(bytes) + " of memory: " + cuda_text(code) + "; " +
              locked_memory_limit(),
          "this device is not used", kLockMoreMemory};
}

}  // namespace peaknet::device
