// What a run does about missing memory on a GPU: LibTorch's own allocator on the simulated runtime, and a test's word
// in place of the network.
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "daemon/model/model.hpp"
#include "daemon/model/torch_support.hpp"
#include "tests/gpusim/simulator.hpp"

namespace c10::cuda::_internal {  // in no header
void setHasPrimaryContext(bool (*has)(DeviceIndex));
}

namespace peaknet::model {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// What LibTorch asks of libtorch_cuda before it touches a GPU, by this name.
struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs /*unused*/) {}
  void init() const override { allocator::init(1); }
  bool hasCUDA() const override { return true; }
  at::Device getDeviceFromPtr(void* /*data*/) const override { return {at::kCUDA, 0}; }
};
using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

class TorchRunOnGpu : public testing::Test {
 protected:
  TorchRunOnGpu() {
    c10::cuda::_internal::setHasPrimaryContext([](c10::DeviceIndex) { return true; });  // as libtorch_cuda does
    at::globalContext().lazyInitDevice(at::kCUDA);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&pixels_, kMiB), cudaSuccess);
    run_.emplace("network.pt", at::kFloat, at::Device("cuda:0"), 0);
    allocator::raw_delete(allocator::raw_alloc(64 * kMiB));  // what a model that is gone has left
  }

  Status run(const TorchRun::Forward& forward) {
    const auto input = kernels::contiguous(pixels_, kernels::Element::float32, 2, 1, 4, 8);
    return (*run_)(input, stream_, {}, forward, [](const kernels::TensorView&) {});
  }
  static std::size_t used() {
    std::size_t free = 0;
    std::size_t total = 0;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    return total - free;
  }
  // Two classes in the place of the pixels.
  at::Tensor logits() const {
    return at::from_blob(pixels_, {2, 2, 4, 8}, at::TensorOptions().dtype(at::kFloat).device(at::Device("cuda:0")));
  }

  cudaStream_t stream_ = nullptr;
  void* pixels_ = nullptr;
  std::optional<TorchRun> run_;
};

constexpr const char* kNoHandle = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`";

TEST_F(TorchRunOnGpu, a_library_that_finds_no_memory_gets_what_the_allocator_keeps_and_the_batch_goes_on) {
  int calls = 0;
  const auto outcome = run([&](const at::Tensor&) {
    ++calls;
    if (used() > 2 * kMiB) throw std::runtime_error(kNoHandle);
    return logits();
  });
  EXPECT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(calls, 2);
}

TEST_F(TorchRunOnGpu, a_batch_is_too_large_if_there_is_no_memory_then_either) {
  int calls = 0;
  const auto outcome = run([&](const at::Tensor&) -> at::Tensor {
    ++calls;
    throw std::runtime_error(kNoHandle);
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "device.no-memory");
  EXPECT_EQ(calls, 2);
}

TEST_F(TorchRunOnGpu, what_the_allocator_itself_does_not_find_is_not_asked_for_again) {
  int calls = 0;
  const auto outcome = run([&](const at::Tensor&) -> at::Tensor {
    ++calls;
    allocator::raw_alloc(std::size_t{1} << 45);
    return logits();
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "device.no-memory");
  EXPECT_EQ(calls, 1) << "it gives back what it keeps before it says so";
}

// As compiled packages do, and cuDNN's search for an algorithm.
TEST_F(TorchRunOnGpu, a_network_that_does_not_say_that_memory_was_missing_is_believed_by_the_allocators_count) {
  const auto silent = [&](std::size_t bytes) {
    return run([&](const at::Tensor&) -> at::Tensor {
      try {
        allocator::raw_delete(allocator::raw_alloc(bytes));
      } catch (const c10::Error&) {
      }
      throw std::runtime_error("run_func_(container_handle_) API call failed at runner.cpp, line 147");
    });
  };
  EXPECT_EQ(silent(std::size_t{1} << 45).error().id, "device.no-memory");
  EXPECT_EQ(silent(kMiB).error().id, "model.failed") << "that was another time";
}

TEST_F(TorchRunOnGpu, while_a_run_is_recorded_nothing_is_given_back_and_nothing_tried_again) {
  ASSERT_TRUE(run_->begin_recording(stream_));
  const std::size_t before = used();
  int calls = 0;
  const auto outcome = run([&](const at::Tensor&) -> at::Tensor {
    ++calls;
    throw std::runtime_error(kNoHandle);
  });
  run_->end_recording();
  EXPECT_EQ(outcome.error().id, "device.no-memory");
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(used(), before);
  run_->trim();
  EXPECT_LT(used(), before);
}

TEST_F(TorchRunOnGpu, another_failure_is_not_tried_again) {
  int calls = 0;
  const auto outcome = run([&](const at::Tensor&) -> at::Tensor {
    ++calls;
    throw std::runtime_error("the seed crystal is missing");
  });
  EXPECT_EQ(outcome.error().id, "model.failed");
  EXPECT_EQ(calls, 1) << outcome.error().text();
}

}  // namespace
}  // namespace peaknet::model
