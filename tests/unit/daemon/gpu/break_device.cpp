// Breaks a real GPU under a program that knows nothing of it: a library for LD_PRELOAD (scripts/gpu-check, step faults).
//
// PEAKNET_BREAK_DEVICE names a file. Once it is there, the next event that the program records on a stream has a kernel
// before it, once in the life of the process: with "store" in the file one that spoils the device, else one that hangs.
//
// Threads: any may record. Errors: a kernel that cannot be launched leaves the device whole, and a line on stderr.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/unit/daemon/gpu/broken_kernels.hpp"

namespace peaknet::test {
namespace {

// A kernel that is recorded for a graph does not run yet.
bool runs_at_once(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;
  return cudaStreamIsCapturing(stream, &status) == cudaSuccess && status == cudaStreamCaptureStatusNone;
}

void break_once(cudaStream_t stream) {
  static std::atomic<bool> done{false};
  static const char* const file = std::getenv("PEAKNET_BREAK_DEVICE");
  struct stat there {};
  if (file == nullptr || done.load() || ::stat(file, &there) != 0 || !runs_at_once(stream) || done.exchange(true))
    return;
  std::string how;
  std::ifstream(file) >> how;
  how == "store" ? launch_store_to_nowhere(stream) : launch_spin(stream);
  const cudaError_t code = cudaPeekAtLastError();
  std::fprintf(stderr, "break_device: %s: %s\n", how.c_str(), cudaGetErrorString(code));
}

}  // namespace
}  // namespace peaknet::test

extern "C" __attribute__((visibility("default"))) cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  using Record = cudaError_t (*)(cudaEvent_t, cudaStream_t);
  static const auto record = reinterpret_cast<Record>(::dlsym(RTLD_NEXT, "cudaEventRecord"));
  peaknet::test::break_once(stream);
  return record(event, stream);
}
