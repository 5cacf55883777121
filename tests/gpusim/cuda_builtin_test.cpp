// Builtin models on a GPU: what the host's form computes, bit for bit, also strided and as a graph.
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <limits>
#include <random>

#include "daemon/model/model.hpp"
#include "tests/gpusim/gpu_memory.hpp"

namespace peaknet::gpusim {
namespace {

using kernels::contiguous;
using kernels::Element;
using kernels::TensorView;

std::unique_ptr<model::Model> made(const std::string& path, const std::string& device) {
  auto model = model::load_model({.path = path, .device = device});
  EXPECT_TRUE(model.ok()) << model.error().text();
  return model ? std::move(*model) : nullptr;
}

// The logits as bits, in the order row, class, y, x; a NaN is a NaN.
std::vector<std::uint32_t> bits_of(std::vector<float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(value != value ? 0x7fc00000U : std::bit_cast<std::uint32_t>(value));
  return bits;
}
std::size_t size_of(const TensorView& view) {
  return static_cast<std::size_t>(view.shape[0] * view.shape[1] * view.shape[2] * view.shape[3]);
}
std::vector<std::uint32_t> on_the_host(model::Model& model, const TensorView& input) {
  std::vector<float> values;
  const auto status = model.run(input, nullptr, [&](const TensorView& logits) {
    const auto* first = static_cast<const float*>(logits.data);
    values.assign(first, first + size_of(logits));
  });
  EXPECT_TRUE(status.ok()) << status.error().text();
  return bits_of(values);
}
std::vector<std::uint32_t> on_the_gpu(model::Model& model, const TensorView& input, GpuMemory& gpu) {
  TensorView found;
  const auto status = model.run(input, gpu.stream(), [&](const TensorView& logits) { found = logits; });
  EXPECT_TRUE(status.ok()) << status.error().text();
  EXPECT_EQ(found.strides[0], 2 * found.strides[1]) << "the host's order";
  return bits_of(gpu.values(static_cast<const float*>(found.data), size_of(found)));
}

std::vector<float> odd_pixels(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  constexpr float kOdd[] = {0.0F,
                            -0.0F,
                            150.0F,
                            149.99999F,
                            150.00002F,
                            3.4e38F,
                            -3.4e38F,
                            1e-45F,
                            -1e-45F,
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> pixels(count);
  for (float& pixel : pixels) {
    pixel = random() % 2 == 0 ? kOdd[random() % std::size(kOdd)] : std::normal_distribution<float>(150, 50)(random);
  }
  return pixels;
}

TEST(CudaBuiltin, logits_are_those_of_the_host_bit_for_bit_also_of_inputs_whose_rows_and_lines_lie_apart) {
  for (const std::string path : {"builtin:identity", "builtin:threshold=150", "builtin:threshold=-0.1"}) {
    const auto host = made(path, "cpu");
    const auto cuda = made(path, "cuda:0");
    for (const auto& [rows, height, width, apart] :
         {std::tuple{1, 1, 1, 0}, {3, 7, 300, 0}, {2, 5, 33, 7}, {1, 64, 64, 3}, {5, 2, 257, 1}}) {
      const auto pixels = odd_pixels(static_cast<std::size_t>(rows * (height + 1) * (width + apart)), 7);
      TensorView input = contiguous(nullptr, Element::float32, rows, 1, height, width);
      input.strides[2] = width + apart;
      input.strides[0] = (height + 1) * input.strides[2];
      GpuMemory gpu;
      TensorView here = input, there = input;
      here.data = const_cast<float*>(pixels.data());
      there.data = gpu.copy(pixels);
      EXPECT_EQ(on_the_gpu(*cuda, there, gpu), on_the_host(*host, here)) << path << ", " << rows << " rows";
    }
  }
}

TEST(CudaBuiltin, what_was_recorded_stays_right_when_a_larger_batch_needs_more_room) {
  const auto cuda = made("builtin:threshold=150", "cuda:0");
  const auto host = made("builtin:threshold=150", "cpu");
  GpuMemory gpu;
  auto pixels = odd_pixels(4 * 64, 1);
  auto* memory = gpu.copy(pixels);
  const TensorView one = contiguous(memory, Element::float32, 1, 1, 8, 8);
  const TensorView four = contiguous(memory, Element::float32, 4, 1, 8, 8);
  on_the_gpu(*cuda, one, gpu);  // warm
  ASSERT_TRUE(cuda->begin_recording(gpu.stream()));
  ASSERT_EQ(cudaStreamBeginCapture(gpu.stream(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
  TensorView recorded;
  ASSERT_TRUE(cuda->run(one, gpu.stream(), [&](const TensorView& logits) { recorded = logits; }).ok());
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(gpu.stream(), &graph), cudaSuccess);
  cuda->end_recording();
  cudaGraphExec_t replayable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&replayable, graph, 0), cudaSuccess);

  on_the_gpu(*cuda, four, gpu);
  ASSERT_EQ(cudaGraphLaunch(replayable, gpu.stream()), cudaSuccess);
  TensorView here = one;
  here.data = pixels.data();
  EXPECT_EQ(bits_of(gpu.values(static_cast<const float*>(recorded.data), size_of(recorded))), on_the_host(*host, here));
  EXPECT_EQ(cudaGraphExecDestroy(replayable), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST(CudaBuiltin, delay_takes_its_time_on_the_stream_and_marks_nothing) {
  const auto cuda = made("builtin:delay=20", "cuda:0");
  GpuMemory gpu;
  const TensorView input = contiguous(gpu.copy(odd_pixels(64, 1)), Element::float32, 1, 1, 8, 8);
  gpu.wait();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(on_the_gpu(*cuda, input, gpu), std::vector<std::uint32_t>(128, 0));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
}

TEST(CudaBuiltin, what_it_cannot_take_is_refused_as_on_the_host) {
  const auto cuda = made("builtin:threshold=3", "cuda:0");
  GpuMemory gpu;
  const TensorView halves = contiguous(gpu.room<float>(4), Element::float16, 1, 1, 2, 2);
  const auto status = cuda->run(halves, gpu.stream(), [](const TensorView&) { FAIL() << "there are no logits"; });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.failed");
  const auto unknown = model::load_model({.path = "builtin:thresold=3", .device = "cuda:0"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().id, "model.unknown-builtin");
  const TensorView huge = contiguous(nullptr, Element::float32, 1 << 20, 1, 4096, 4096);
  const auto full = cuda->run(huge, gpu.stream(), [](const TensorView&) { FAIL() << "there are no logits"; });
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().id, "device.no-memory");
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "it does not become somebody else's error";
}

}  // namespace
}  // namespace peaknet::gpusim
