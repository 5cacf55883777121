#include "daemon/model/torch_cuda.hpp"

#if PEAKNET_MODEL_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <dlfcn.h>

#include <array>
#include <atomic>
#endif

#include <utility>

#include "daemon/model/model.hpp"
#include "daemon/model/torch_failure.hpp"

namespace peaknet::model {

#if PEAKNET_MODEL_CUDA
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

bool is_gpu(const std::string& device) { return device.starts_with("cuda"); }

// Nothing was ever asked of it before.
bool in_use() { return allocator::allocator.load() != nullptr && allocator::get()->initialized(); }

// More than any device has.
constexpr std::size_t kTooMuch = std::size_t{1} << 50;

// How often the allocator of the device was asked for too much on purpose.
std::atomic<std::int64_t>& asked_for_too_much(c10::DeviceIndex device) {
  static std::array<std::atomic<std::int64_t>, C10_COMPILE_TIME_MAX_GPUS> times{};
  return times.at(static_cast<std::size_t>(device));
}

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

// LibTorch's emptyCache() goes through all GPUs of the process, and waits for each: one that hangs would hold up all. A
// request that cannot be served makes the allocator of this device alone give back all that it keeps, before it says
// no.
void release_cached_memory(const std::string& device) {
  if (!is_gpu(device) || !in_use()) return;
  const auto index = c10::Device(device).index();
  try {
    const c10::cuda::CUDAGuard guard(index);
    allocator::raw_delete(allocator::raw_alloc(kTooMuch));
  } catch (const c10::OutOfMemoryError&) {
    ++asked_for_too_much(index);
  } catch (const std::exception& failure) {
    warn({"device.cache-kept", device + ": LibTorch does not give back the memory that it keeps: " + cause_of(failure),
          "it goes on with that memory", "if the device is lost, that is the cause"});
  }
}

std::int64_t memory_shortages(const std::string& device) {
  if (!is_gpu(device) || !in_use()) return 0;
  const auto index = c10::Device(device).index();
  return allocator::getDeviceStats(index).num_ooms - asked_for_too_much(index);
}
#else
Status load_cuda_side(const std::string& /*device*/) { return {}; }
void on_load_stream(const std::string& /*device*/, const std::function<void()>& load) { load(); }
void release_cached_memory(const std::string& /*device*/) {}
std::int64_t memory_shortages(const std::string& /*device*/) { return 0; }
#endif

LastToGo::LastToGo(std::string device) : device_(std::move(device)) {}
LastToGo::~LastToGo() { release_cached_memory(device_); }

}  // namespace peaknet::model
