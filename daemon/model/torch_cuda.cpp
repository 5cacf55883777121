#include "daemon/model/torch_cuda.hpp"

#if PEAKNET_MODEL_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <dlfcn.h>

#include "daemon/model/torch_failure.hpp"
#endif

namespace peaknet::model {

#if PEAKNET_MODEL_CUDA
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

bool is_gpu(const std::string& device) { return device.starts_with("cuda"); }

// Nothing was ever asked of it before.
bool in_use() { return allocator::allocator.load() != nullptr && allocator::get()->initialized(); }

}  // namespace

// libtorch_cuda registers its operators when it is loaded. It is not linked, so that a machine without the large CUDA
// libraries runs the CPU build's way; it is loaded once, when a model may go to a GPU, and stays.
Status load_cuda_side(const std::string& device) {
  if (!is_gpu(device)) return {};
  static const std::string failure = [] {
    if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return std::string{};
    const char* cause = ::dlerror();
    return std::string(cause != nullptr ? cause : "unknown cause");
  }();
  if (failure.empty()) return {};
  return Error{"model.not-built", "the CUDA side of LibTorch cannot be loaded: " + failure, "nothing was started",
               "scripts/setup --gpu fetches its libraries (docs/install.md, A node with GPUs); or set engine.devices: "
               "cpu"};
}

void on_load_stream(const std::string& device, const std::function<void()>& load) {
  if (!is_gpu(device)) return load();
  const auto stream = c10::cuda::getStreamFromPool(false, c10::Device(device).index());
  const c10::cuda::CUDAStreamGuard guard(stream);
  load();
  stream.synchronize();
  C10_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));  // compiled packages copy their weights there
}

Status release_cached_memory(const std::string& device) {
  if (!is_gpu(device) || !in_use()) return {};
  try {
    allocator::emptyCache();
    return {};
  } catch (const std::exception& failure) {
    return Error{"device.cache-kept", "LibTorch does not give back the memory that it keeps: " + cause_of(failure),
                 "it goes on with that memory", "if other errors of the device follow, see those"};
  }
}

std::int64_t memory_shortages(const std::string& device) {
  if (!is_gpu(device) || !in_use()) return 0;
  return allocator::getDeviceStats(c10::Device(device).index()).num_ooms;
}
#else
Status load_cuda_side(const std::string& /*device*/) { return {}; }
void on_load_stream(const std::string& /*device*/, const std::function<void()>& load) { load(); }
Status release_cached_memory(const std::string& /*device*/) { return {}; }
std::int64_t memory_shortages(const std::string& /*device*/) { return 0; }
#endif

}  // namespace peaknet::model
