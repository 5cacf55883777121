// The simulated CUDA runtime sees what it says it sees. Each test makes one mistake and looks for the finding; a
// mistake that is not found here would not be found in the program either.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "tests/gpusim/simulator.hpp"

namespace peaknet::gpusim {
namespace {

constexpr std::size_t kBytes = 64 << 10;

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  return stream;
}
cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  EXPECT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  return event;
}
char* on_device(std::size_t bytes = kBytes) {
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, bytes), cudaSuccess);
  return static_cast<char*>(address);
}
char* pinned(std::size_t bytes = kBytes) {
  void* address = nullptr;
  EXPECT_EQ(cudaHostAlloc(&address, bytes, cudaHostAllocPortable), cudaSuccess);
  return static_cast<char*>(address);
}
char* mapped(std::size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(address, MAP_FAILED);
  return static_cast<char*>(address);
}
cudaError_t up(char* to, const char* from, cudaStream_t stream, std::size_t bytes = kBytes) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream);
}
cudaError_t down(char* to, const char* from, cudaStream_t stream, std::size_t bytes = kBytes) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream);
}

class RuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!simulated()) GTEST_SKIP() << "this is no simulated CUDA runtime";
    reset();
    cudaSetDevice(0);
  }
  void TearDown() override {
    if (!simulated()) return;
    EXPECT_EQ(findings(), 0U);
  }
};

TEST_F(RuntimeTest, bytes_come_back_as_they_went) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  for (std::size_t i = 0; i < kBytes; ++i) host[i] = static_cast<char>(i * 7);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  std::vector<char> back(kBytes);
  ASSERT_EQ(down(back.data(), device, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(std::memcmp(back.data(), host, kBytes), 0);
}

TEST_F(RuntimeTest, two_streams_that_no_event_orders_are_a_race_also_when_they_came_in_order) {
  const auto first = make_stream(), second = make_stream();
  char *host = pinned(), *device = on_device();
  std::memset(host, 1, kBytes);
  ASSERT_EQ(up(device, host, first), cudaSuccess);
  while (cudaStreamQuery(second) != cudaSuccess) continue;
  ASSERT_EQ(up(device, host, second), cudaSuccess);
  cudaStreamSynchronize(first);
  cudaStreamSynchronize(second);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, two_streams_that_an_event_orders_are_none) {
  const auto first = make_stream(), second = make_stream();
  const auto event = make_event();
  char *host = pinned(), *device = on_device();
  std::memset(host, 1, kBytes);
  for (int round = 0; round < 50; ++round) {
    ASSERT_EQ(up(device, host, first), cudaSuccess);
    cudaEventRecord(event, first);
    cudaStreamWaitEvent(second, event, 0);
    ASSERT_EQ(down(host, device, second), cudaSuccess);
    cudaEventRecord(event, second);
    cudaStreamWaitEvent(first, event, 0);
  }
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(RuntimeTest, what_the_host_has_waited_for_orders_streams_too) {
  const auto first = make_stream(), second = make_stream();
  char *host = pinned(), *device = on_device();
  std::memset(host, 1, kBytes);
  ASSERT_EQ(up(device, host, first), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(first), cudaSuccess);
  ASSERT_EQ(up(device, host, second), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
}

TEST_F(RuntimeTest, device_memory_that_nobody_has_written_does_not_reach_the_host) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  ASSERT_EQ(up(device, host, stream, kBytes - 1), cudaSuccess);
  ASSERT_EQ(down(host, device, stream), cudaSuccess);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, a_copy_beyond_its_memory_is_refused) {
  const auto stream = make_stream();
  char *host = pinned(2 * kBytes), *device = on_device();
  EXPECT_EQ(up(device, host, stream, kBytes + 1), cudaErrorInvalidValue);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, a_copy_across_two_registrations_is_refused) {
  const auto stream = make_stream();
  char *host = mapped(2 * kBytes), *device = on_device(2 * kBytes);
  ASSERT_EQ(cudaHostRegister(host, kBytes, cudaHostRegisterPortable), cudaSuccess);
  ASSERT_EQ(cudaHostRegister(host + kBytes, kBytes, cudaHostRegisterPortable), cudaSuccess);
  EXPECT_EQ(up(device, host + kBytes / 2, stream), cudaErrorInvalidValue);
  EXPECT_EQ(take_findings(), 1U);
  EXPECT_EQ(up(device, host + kBytes, stream), cudaSuccess);
  cudaStreamSynchronize(stream);
}

TEST_F(RuntimeTest, memory_is_registered_once_and_only_where_there_is_some) {
  char* host = mapped(kBytes);
  ASSERT_EQ(cudaHostRegister(host, kBytes, cudaHostRegisterPortable), cudaSuccess);
  EXPECT_EQ(cudaHostRegister(host + 4096, 4096, cudaHostRegisterPortable), cudaErrorHostMemoryAlreadyRegistered);
  ASSERT_EQ(cudaHostUnregister(host), cudaSuccess);
  ::munmap(host, kBytes);
  EXPECT_EQ(cudaHostRegister(host, kBytes, cudaHostRegisterPortable), cudaErrorInvalidValue);
}

TEST_F(RuntimeTest, registered_memory_is_not_unmapped) {
  char* host = mapped(kBytes);
  ASSERT_EQ(cudaHostRegister(host, kBytes, cudaHostRegisterPortable), cudaSuccess);
  ::munmap(host, kBytes);
  EXPECT_EQ(take_findings(), 1U);
  cudaHostUnregister(host);
}

TEST_F(RuntimeTest, memory_is_not_taken_from_under_a_copy) {
  const auto stream = make_stream();
  char *host = mapped(kBytes), *device = on_device(), *staging = pinned();
  ASSERT_EQ(cudaHostRegister(host, kBytes, cudaHostRegisterPortable), cudaSuccess);
  hang_after("upload", 1);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  ASSERT_EQ(up(device, staging, stream), cudaSuccess);
  cudaHostUnregister(host);
  cudaFreeHost(staging);
  cudaStreamDestroy(stream);
  EXPECT_EQ(take_findings(), 3U);
}

TEST_F(RuntimeTest, a_registration_for_one_device_alone_does_not_serve_another) {
  char* host = mapped(kBytes);
  ASSERT_EQ(cudaHostRegister(host, kBytes, 0), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(up(on_device(), host, make_stream()), cudaErrorInvalidValue);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, a_device_has_only_so_much_memory) {
  std::size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, free + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  char* some = on_device();
  std::size_t left = 0;
  cudaMemGetInfo(&left, &total);
  EXPECT_EQ(left, free - kBytes);
  EXPECT_EQ(cudaFree(some), cudaSuccess);
  EXPECT_EQ(cudaFree(some), cudaErrorInvalidValue);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, the_driver_must_not_be_called_from_its_own_thread) {
  const auto stream = make_stream();
  cudaError_t code = cudaSuccess;
  ASSERT_EQ(cudaLaunchHostFunc(
                stream,
                [](void* into) {
                  void* address = nullptr;
                  *static_cast<cudaError_t*>(into) = cudaMalloc(&address, 1);
                },
                &code),
            cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(code, cudaErrorNotPermitted);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, a_recording_is_spoilt_by_a_call_that_waits) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, 1), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(RuntimeTest, a_recording_does_nothing_until_it_is_launched_and_then_as_often_as_it_is) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  std::memset(host, 5, kBytes);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  EXPECT_EQ(counted("copies"), 0U);
  cudaGraphLaunch(executable, stream);
  cudaGraphLaunch(executable, stream);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(counted("copies"), 2U);
  cudaGraphDestroy(graph);
  cudaGraphExecDestroy(executable);
}

TEST_F(RuntimeTest, copies_take_what_the_model_of_the_hardware_says_however_late_this_machine_comes_to_them) {
  ::setenv("GPUSIM_COPY_GBPS_UP", "0.01", 1);
  reset();
  const std::array streams{make_stream(), make_stream()};
  std::promise<void> opened;
  auto gate = opened.get_future().share();
  std::array<cudaEvent_t, 3> marks{};
  for (auto& mark : marks) ASSERT_EQ(cudaEventCreateWithFlags(&mark, cudaEventDefault), cudaSuccess);
  char *host = pinned(), *device = on_device();
  const auto wait = [](void* future) { static_cast<std::shared_future<void>*>(future)->wait(); };
  ASSERT_EQ(cudaLaunchHostFunc(streams[0], wait, &gate), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(marks[0], streams[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(streams[1], marks[0], 0), cudaSuccess);
  for (std::size_t i = 0; i < 16; ++i) {
    const std::size_t at = i * kBytes / 16;
    ASSERT_EQ(up(device + at, host + at, streams[i % 2], kBytes / 16), cudaSuccess);
  }
  for (std::size_t i = 0; i < 2; ++i) ASSERT_EQ(cudaEventRecord(marks[1 + i], streams[i]), cudaSuccess);
  opened.set_value();
  float last_ms = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(cudaStreamSynchronize(streams[i]), cudaSuccess);
    float took_ms = 0;
    ASSERT_EQ(cudaEventElapsedTime(&took_ms, marks[0], marks[1 + i]), cudaSuccess);
    last_ms = std::max(last_ms, took_ms);
  }
  EXPECT_NEAR(last_ms, 1e3 * kBytes / 0.01e9, 1e-3);  // one engine a way, whatever the streams
}

TEST_F(RuntimeTest, a_device_that_broke_down_answers_nothing_else_and_the_other_goes_on) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  break_after("upload", 1);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, 1), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(up(on_device(), host, make_stream()), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(RuntimeTest, a_stream_that_hangs_is_never_done_until_it_is_freed) {
  const auto stream = make_stream(), other = make_stream();
  char *host = pinned(), *device = on_device();
  hang_after("upload", 1);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  while (counted("hangs") == 0) std::this_thread::yield();
  ASSERT_EQ(up(on_device(), host, other), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(other), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  free_hung();
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
}

TEST_F(RuntimeTest, a_download_to_memory_that_is_not_pinned_blocks_the_caller) {
  const auto stream = make_stream();
  char *host = pinned(), *device = on_device();
  std::vector<char> plain(kBytes);
  ASSERT_EQ(up(device, host, stream), cudaSuccess);
  ASSERT_EQ(down(plain.data(), device, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
  EXPECT_EQ(counted("copies that blocked the caller"), 1U);
}

TEST_F(RuntimeTest, an_event_that_was_destroyed_is_not_used_again) {
  const auto stream = make_stream();
  const auto event = make_event();
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  cudaEventRecord(event, stream);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(take_findings(), 1U);
}

TEST_F(RuntimeTest, the_host_does_not_reach_device_memory) {
  char* device = on_device();
  EXPECT_EXIT(device[0] = 1, ::testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace peaknet::gpusim
