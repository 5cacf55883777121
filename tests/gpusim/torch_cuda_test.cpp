// What a load leaves on a GPU, and what LibTorch's allocator keeps there, with LibTorch's own allocator and streams
// (libc10_cuda) on the simulated runtime.
#include "daemon/model/torch_cuda.hpp"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "daemon/model/model.hpp"
#include "tests/gpusim/simulator.hpp"

namespace c10::cuda::_internal {  // in no header
void setHasPrimaryContext(bool (*has)(DeviceIndex));
}

namespace peaknet::model {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class TorchOnGpu : public testing::Test {
 protected:
  TorchOnGpu() {
    c10::cuda::_internal::setHasPrimaryContext([](c10::DeviceIndex) { return true; });  // as libtorch_cuda does
    allocator::init(2);
  }
  ~TorchOnGpu() override { allocator::emptyCache(); }

  static std::size_t used(int device) {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    std::size_t free = 0;
    std::size_t total = 0;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    return total - free;
  }
  // As a network that ran and is gone leaves it.
  static void use(int device, std::size_t bytes) {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    allocator::raw_delete(allocator::raw_alloc(bytes));
  }
};

TEST_F(TorchOnGpu, what_a_load_has_copied_is_there_for_any_stream_when_it_ends) {
  cudaStream_t compute = nullptr;  // as the engine's are: it waits for no other
  ASSERT_EQ(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking), cudaSuccess);
  void* host = nullptr;
  ASSERT_EQ(cudaHostAlloc(&host, kMiB, 0), cudaSuccess);
  std::fill_n(static_cast<char*>(host), kMiB, 'w');
  void* back = nullptr;
  ASSERT_EQ(cudaHostAlloc(&back, kMiB, 0), cudaSuccess);
  for (int again = 0; again < 50; ++again) {
    void* weights = nullptr;
    std::jthread([&] {  // as `model load`: in a thread of its own
      on_load_stream("cuda:0", [&] {
        weights = allocator::raw_alloc(kMiB);
        const auto stream = c10::cuda::getCurrentCUDAStream();
        EXPECT_NE(stream.stream(), nullptr) << "the load works on the default stream";
        EXPECT_EQ(cudaMemcpyAsync(weights, host, kMiB, cudaMemcpyHostToDevice, stream), cudaSuccess);
      });
    })
        .join();
    ASSERT_EQ(cudaMemcpyAsync(back, weights, kMiB, cudaMemcpyDeviceToHost, compute), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(compute), cudaSuccess);
    EXPECT_EQ(static_cast<char*>(back)[kMiB - 1], 'w');
    allocator::raw_delete(weights);
  }
  EXPECT_EQ(gpusim::findings(), 0U);
  EXPECT_EQ(cudaFreeHost(host), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(back), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(compute), cudaSuccess);
}

TEST_F(TorchOnGpu, the_stream_of_the_thread_is_what_it_was_after_a_load_also_after_one_that_fails) {
  const c10::cuda::CUDAGuard on_other(1);
  const auto before = c10::cuda::getCurrentCUDAStream();
  on_load_stream("cuda:0", [&] { EXPECT_EQ(c10::cuda::current_device(), 0); });
  EXPECT_THROW(on_load_stream("cuda:0", [] { throw std::runtime_error("the file is cut"); }), std::runtime_error);
  EXPECT_EQ(c10::cuda::current_device(), 1);
  EXPECT_EQ(c10::cuda::getCurrentCUDAStream(), before);
}

TEST_F(TorchOnGpu, memory_of_a_model_that_is_gone_stays_with_the_allocator_until_it_is_told_to_release_it) {
  const std::size_t before = used(0);
  use(0, 64 * kMiB);
  EXPECT_EQ(used(0), before + 64 * kMiB) << "lanes could not have it";
  release_cached_memory("cuda:0");
  EXPECT_EQ(used(0), before);
  use(0, 64 * kMiB);
  { const LastToGo model("cuda:0"); }
  EXPECT_EQ(used(0), before);
}

TEST_F(TorchOnGpu, another_gpu_is_left_alone_also_if_it_hangs) {
  use(0, 64 * kMiB);
  use(1, 64 * kMiB);
  const std::size_t before = used(1);
  const c10::cuda::CUDAGuard guard(1);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, kMiB), cudaSuccess);
  gpusim::hang_after("memset", 1);
  ASSERT_EQ(cudaMemsetAsync(memory, 0, kMiB, stream), cudaSuccess);
  release_cached_memory("cuda:0");
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  EXPECT_EQ(used(1), before + kMiB);
  EXPECT_EQ(c10::cuda::current_device(), 1);
  gpusim::free_hung();
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

TEST_F(TorchOnGpu, memory_that_is_in_use_is_not_released) {
  const std::size_t before = used(0);
  void* weights = allocator::raw_alloc(64 * kMiB);
  release_cached_memory("cuda:0");
  EXPECT_EQ(used(0), before + 64 * kMiB);
  allocator::raw_delete(weights);
}

TEST_F(TorchOnGpu, a_request_that_cannot_be_served_is_counted_and_small_ones_are_not) {
  const auto before = memory_shortages("cuda:0");
  use(0, kMiB);
  release_cached_memory("cuda:0");
  EXPECT_EQ(memory_shortages("cuda:0"), before) << "what it asked for itself does not count";
  EXPECT_THROW(allocator::raw_alloc(std::size_t{1} << 50), c10::OutOfMemoryError);
  EXPECT_EQ(memory_shortages("cuda:0"), before + 1);
  EXPECT_EQ(memory_shortages("cuda:1"), 0);
}

TEST_F(TorchOnGpu, a_broken_device_keeps_its_cache_and_nothing_is_thrown) {
  use(1, 64 * kMiB);
  const c10::cuda::CUDAGuard guard(1);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, kMiB), cudaSuccess);
  gpusim::break_after("memset", 1);
  cudaMemsetAsync(memory, 0, kMiB, stream);
  cudaStreamSynchronize(stream);
  EXPECT_NO_THROW(release_cached_memory("cuda:1"));
  EXPECT_NE(cudaStreamQuery(stream), cudaSuccess);
  ::_exit(HasFailure() ? 1 : 0);  // nothing can be taken down on such a device
}

}  // namespace
}  // namespace peaknet::model
