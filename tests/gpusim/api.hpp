// What the files of the runtime's functions share.
#pragma once

#include <cuda_runtime_api.h>

#include <mutex>

#include "tests/gpusim/machine.hpp"

#define GPUSIM_API extern "C" __attribute__((visibility("default")))

namespace peaknet::gpusim {

// An error is remembered for cudaGetLastError; "not ready" is none.
inline cudaError_t say(cudaError_t code) {
  if (code != cudaSuccess && code != cudaErrorNotReady) Machine::thread().last = code;
  return code;
}

// The machine, its mutex held, and what the device of the call answers before anything else.
class Call {
 public:
  // On the device that is current in this thread, or on another.
  explicit Call(const char* what) : Call(what, Machine::thread().device) {}
  Call(const char* what, int device) : lock(machine.mutex), code(machine.enter(lock, device, what)) {}
  Machine& machine = Machine::the();
  std::unique_lock<std::mutex> lock;
  const cudaError_t code;
  bool refused() const { return code != cudaSuccess; }
};

inline Stream* stream_of(cudaStream_t handle) { return reinterpret_cast<Stream*>(handle); }
// That stream never has work: nothing may be put on it.
inline bool is_default(cudaStream_t handle) { return handle == nullptr || handle == cudaStreamLegacy; }
inline Event* event_of(cudaEvent_t handle) { return reinterpret_cast<Event*>(handle); }

}  // namespace peaknet::gpusim
