// The rows of a batch run at the same time on the processors: nobody must see a difference.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "daemon/device/host_device.hpp"
#include "daemon/model/model.hpp"
#include "tests/support/one_processor.hpp"
#include "tests/unit/daemon/model/written_network.hpp"

namespace peaknet::model {
namespace {

using kernels::contiguous;
using kernels::Element;
using kernels::TensorView;

constexpr std::int64_t kSide = 160;

class TorchScriptRows : public test::WrittenNetwork {
 protected:
  static std::unique_ptr<Model> loaded(const std::string& path, std::uint32_t threads) {
    return test::WrittenNetwork::loaded(path, Element::float32, threads);
  }
  static std::vector<float> images(std::int64_t rows, std::int64_t side) {
    torch::manual_seed(7);
    auto counts = torch::poisson(torch::full({rows, 1, side, side}, 3.0F));
    counts.masked_fill_(torch::rand_like(counts) < 0.001, 500.0F);
    const auto* first = counts.data_ptr<float>();
    return {first, first + counts.numel()};
  }
  // The logits of a run, in the order of their indices.
  static std::vector<float> logits_of(Model& model, std::vector<float>& pixels, std::int64_t rows, std::int64_t side) {
    std::vector<float> logits;
    const auto outcome = model.run(
        contiguous(pixels.data(), Element::float32, rows, 1, side, side), nullptr, [&](const TensorView& view) {
          const auto all =
              at::from_blob(view.data, at::IntArrayRef(view.shape, 4), at::IntArrayRef(view.strides, 4)).contiguous();
          logits.assign(all.data_ptr<float>(), all.data_ptr<float>() + all.numel());
        });
    EXPECT_TRUE(outcome.ok()) << outcome.error().text();
    return logits;
  }
  // With one thread, where nothing is shared, and with several, run after run: whatever form they take.
  static void expect_the_same_bits(const std::string& path, std::int64_t side) {
    const auto alone = loaded(path, 1);
    for (const std::uint32_t threads : {2U, 3U, 8U}) {
      const auto together = loaded(path, threads);
      for (const std::int64_t rows : {1, 2, 3, 8}) {
        auto pixels = images(rows, side);
        const auto expected = logits_of(*alone, pixels, rows, side);
        for (int run = 0; run < 6; ++run)
          EXPECT_EQ(logits_of(*together, pixels, rows, side), expected) << rows << " rows, " << threads << " threads";
      }
    }
  }
};

TEST_F(TorchScriptRows, the_demo_network_marks_the_same_pixels_in_every_form) {
  expect_the_same_bits(PEAKNET_DEMO_MODEL, kSide);
  expect_the_same_bits(PEAKNET_DEMO_MODEL, 64);
}

TEST_F(TorchScriptRows, convolutions_and_matrix_products_give_the_same_bits_in_every_form) {
  torch::manual_seed(3);
  torch::jit::Module module("rows");
  module.register_parameter("first", torch::randn({16, 1, 3, 3}) * 0.2, false);
  module.register_parameter("deep", torch::randn({16, 1, 7, 7}) * 0.1, false);
  module.register_parameter("wide", torch::randn({64, 16}) * 0.1, false);
  module.register_parameter("narrow", torch::randn({2, 64}) * 0.1, false);
  expect_the_same_bits(saved(module,
                             "  x = torch.conv2d(torch.log1p(x), self.first, padding=[1, 1])\n"
                             "  x = torch.conv2d(x, self.deep, padding=[3, 3], groups=16).permute(0, 2, 3, 1)\n"
                             "  x = torch.layer_norm(x, [16])\n"
                             "  x = torch.gelu(torch.matmul(x, self.wide.t()))\n"
                             "  return torch.matmul(x, self.narrow.t()).permute(0, 3, 1, 2)\n"),
                       kSide);
}

constexpr const char* kFailsOnFive =
    "  assert not bool((x == 5.0).any()), 'there is a five'\n"
    "  return torch.cat([torch.zeros_like(x), x], dim=1)\n";

TEST_F(TorchScriptRows, a_row_that_makes_the_network_throw_is_one_error_of_the_batch_and_the_next_batch_runs) {
  const auto model = loaded(saved(kFailsOnFive), 3);
  std::vector<float> pixels(8 * kSide * kSide, 1.0F);
  const auto batch = contiguous(pixels.data(), Element::float32, 8, 1, kSide, kSide);
  for (const std::size_t row : {0U, 3U, 7U}) {
    pixels[row * kSide * kSide] = 5.0F;
    const auto failed =
        model->run(batch, nullptr, [](const TensorView&) { ADD_FAILURE() << "logits of half a batch"; });
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().id, "model.failed");
    EXPECT_NE(failed.error().what.find("8 rows of 160x160"), std::string::npos) << failed.error().text();
    EXPECT_NE(failed.error().what.find("there is a five"), std::string::npos) << failed.error().text();
    pixels[row * kSide * kSide] = 1.0F;
    EXPECT_EQ(logits_of(*model, pixels, 8, kSide).size(), 16U * kSide * kSide);
  }
}

TEST_F(TorchScriptRows, a_row_with_other_classes_than_the_rest_is_refused) {
  const auto model = loaded(saved("  if bool((x == 5.0).any()):\n"
                                  "    return torch.cat([x, x, x], dim=1)\n"
                                  "  return torch.cat([x, x], dim=1)\n"),
                            2);
  std::vector<float> pixels(4 * kSide * 1638, 1.0F);  // no two rows are in one part
  pixels.back() = 5.0F;
  const auto failed = model->run(contiguous(pixels.data(), Element::float32, 4, 1, kSide, 1638), nullptr,
                                 [](const TensorView&) { ADD_FAILURE() << "logits that were refused were used"; });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().id, "model.bad-output");
}

TEST_F(TorchScriptRows, a_device_that_goes_while_rows_are_under_way_ends_them_first) {
  const std::string path = saved("  return torch.cat([torch.zeros_like(x), x], dim=1)\n");
  std::vector<float> pixels(8 * kSide * kSide, 1.0F);
  std::atomic<int> done = 0;
  {
    const std::shared_ptr<Model> model = loaded(path, 3);
    const auto device = device::make_host_device();
    for (int i = 0; i < 20; ++i) {
      device->compute([&, model](void* stream) {
        const auto batch = contiguous(pixels.data(), Element::float32, 8, 1, kSide, kSide);
        EXPECT_TRUE(model->run(batch, stream, [&](const TensorView&) { ++done; }).ok());
      });
    }
  }
  EXPECT_EQ(done, 20);
}

TEST_F(TorchScriptRows, a_thread_that_may_use_one_processor_uses_one_thread) {
  const std::string path = saved("  return torch.cat([torch.zeros_like(x), x], dim=1)\n");
  std::vector<float> pixels(8 * kSide * kSide, 1.0F);
  std::thread([&] {
    test::stay_on_one_processor();
    const auto model = loaded(path, 0);
    for (const std::int64_t rows : {1, 8, 1, 8, 1}) {
      const auto batch = contiguous(pixels.data(), Element::float32, rows, 1, kSide, kSide);
      EXPECT_TRUE(model->run(batch, nullptr, [&](const TensorView&) { EXPECT_EQ(at::get_num_threads(), 1); }).ok());
    }
  }).join();
}

}  // namespace
}  // namespace peaknet::model
