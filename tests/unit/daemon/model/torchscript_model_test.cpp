#include "daemon/model/torchscript_model.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/library.h>
#include <torch/script.h>

#include <thread>
#include <vector>

#include "config/model_file.hpp"
#include "daemon/kernels/pixel_math.hpp"
#include "daemon/model/model.hpp"
#include "tests/unit/daemon/model/written_network.hpp"

namespace peaknet::model {
namespace {

using kernels::contiguous;
using kernels::Element;
using kernels::TensorView;

class TorchScriptModel : public test::WrittenNetwork {
 protected:
  // The error of running `body` on two rows of 4x8.
  Error error_of(const std::string& body) {
    const auto model = loaded(saved(body));
    std::vector<float> pixels(64, 1.0F);
    const auto status = model->run(contiguous(pixels.data(), Element::float32, 2, 1, 4, 8), nullptr,
                                   [](const TensorView&) { ADD_FAILURE() << "logits that were refused were used"; });
    return status.ok() ? Error{} : status.error();
  }
};

constexpr const char* kThreshold = "  return torch.cat([torch.zeros_like(x), x - 100.0], dim=1)\n";

TEST_F(TorchScriptModel, a_network_runs_on_the_rows_where_they_are_and_its_logits_are_seen) {
  const auto model = loaded(saved(kThreshold));
  std::vector<float> pixels(3 * 4 * 8);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i * 2);
  int calls = 0;
  const auto status =
      model->run(contiguous(pixels.data(), Element::float32, 3, 1, 4, 8), nullptr, [&](const TensorView& logits) {
        ++calls;
        ASSERT_EQ(logits.element, Element::float32);
        EXPECT_EQ(std::vector<std::int64_t>(logits.shape, logits.shape + 4), (std::vector<std::int64_t>{3, 2, 4, 8}));
        for (std::int64_t i = 0; i < 96; ++i) {
          const auto* at = static_cast<const float*>(logits.data) + i / 32 * logits.strides[0] +
                           i / 8 % 4 * logits.strides[2] + i % 8 * logits.strides[3];
          EXPECT_EQ(at[0], 0.0F);
          EXPECT_EQ(at[logits.strides[1]], static_cast<float>(2 * i) - 100.0F);
        }
      });
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_EQ(calls, 1);
}

TEST_F(TorchScriptModel, it_says_which_file_it_is_from) {
  const std::string path = saved(kThreshold);
  const auto model = loaded(path);
  EXPECT_EQ(model->info().path, path);
  EXPECT_EQ(model->info().kind, "torchscript");
  EXPECT_EQ(model->info().sha256, *sha256_of(path));
}

TEST_F(TorchScriptModel, logits_of_other_strides_are_passed_on_as_they_are) {
  // Channels last, and a slice of something wider: no copy is made, the strides tell.
  const auto model =
      loaded(saved("  y = torch.cat([torch.zeros_like(x), x], dim=1)\n"
                   "  return y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)\n"));
  std::vector<float> pixels(32);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
  const auto status =
      model->run(contiguous(pixels.data(), Element::float32, 1, 1, 4, 8), nullptr, [&](const TensorView& logits) {
        EXPECT_EQ(logits.strides[1], 1);
        EXPECT_EQ(logits.strides[3], 2);
        for (std::int64_t i = 0; i < 32; ++i) {
          EXPECT_EQ(static_cast<const float*>(
                        logits.data)[i / 8 * logits.strides[2] + i % 8 * logits.strides[3] + logits.strides[1]],
                    static_cast<float>(i));
        }
      });
  EXPECT_TRUE(status.ok()) << status.error().text();
}

TEST_F(TorchScriptModel, its_numbers_follow_the_precision) {
  const float weight = 0.3F;
  for (const Element element : {Element::bfloat16, Element::float16}) {
    const auto write = [&](float value) {
      return element == Element::bfloat16 ? kernels::to_bfloat16(value) : kernels::to_float16(value);
    };
    const auto read = element == Element::bfloat16 ? kernels::from_bfloat16 : kernels::from_float16;
    torch::jit::Module module("tiny");
    module.register_parameter("weight", torch::full({1}, weight), false);
    const auto model = loaded(saved(module, "  y = x * self.weight\n  return torch.cat([y, y], dim=1)\n"), element);
    std::vector<std::uint16_t> pixels(32, write(2.0F));
    const auto status =
        model->run(contiguous(pixels.data(), element, 1, 1, 4, 8), nullptr, [&](const TensorView& logits) {
          ASSERT_EQ(logits.element, element);
          EXPECT_EQ(static_cast<const std::uint16_t*>(logits.data)[5], write(2.0F * read(write(weight))));
        });
    EXPECT_TRUE(status.ok()) << status.error().text();
  }
}

TEST_F(TorchScriptModel, an_output_of_a_wrong_shape_or_type_is_refused_with_both) {
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"  return x\n", "(2,1,4,8)"},                                                               // one class
      {"  return torch.cat([x, x], dim=1)[:, :, :2]\n", "(2,2,2,8)"},                              // half the height
      {"  return torch.cat([x, x], dim=1)[:, :, :, 1:]\n", "(2,2,4,7)"},                           // a column short
      {"  return torch.cat([x, x], dim=1)[:1]\n", "(1,2,4,8)"},                                    // a row short
      {"  return torch.cat([x, x], dim=1)[0]\n", "(2,4,8)"},                                       // three dimensions
      {"  return torch.cat([x, x], dim=1).argmax(1, keepdim=True).expand(2, 2, 4, 8)\n", "Long"},  // labels, not logits
      {"  return torch.cat([x, x], dim=1).double()\n", "Double"},
  };
  for (const auto& [body, named] : wrong) {
    const Error error = error_of(body);
    EXPECT_EQ(error.id, "model.bad-output") << body;
    EXPECT_NE(error.what.find(named), std::string::npos) << error.text();
    EXPECT_NE(error.what.find("(2,1,4,8)"), std::string::npos) << error.text();
    EXPECT_NE(error.remedy.find("2 or more classes"), std::string::npos) << error.text();
  }
}

TEST_F(TorchScriptModel, what_is_no_tensor_or_throws_is_a_failure_with_the_cause_in_one_line) {
  for (const auto& [body, cause] :
       {std::pair{"  return (x, x)\n", "Tuple"}, std::pair{"  return [x]\n", "List"},
        std::pair{"  assert x.size(0) == 7, 'the seed crystal is missing'\n  return x\n", "seed crystal"},
        std::pair{"  return torch.cat([x, x[:, :, :1]], dim=1)\n", "Sizes of tensors"}}) {
    const Error error = error_of(body);
    EXPECT_EQ(error.id, "model.failed") << body;
    EXPECT_NE(error.what.find("2 rows of 4x8"), std::string::npos) << error.text();
    EXPECT_NE(error.what.find(cause), std::string::npos) << error.text();
    EXPECT_EQ(error.text().find('\n'), std::string::npos) << error.text();
  }
}

// A step that throws what it is told to, as one on a GPU would. Sources compiled here see steps of this name space
// alone.
at::Tensor step_that_throws(const at::Tensor& /*x*/, c10::string_view text) {
  TORCH_CHECK_WITH(OutOfMemoryError, !text.starts_with("CUDA out of memory"), text);
  throw std::runtime_error(std::string(text));
}
TORCH_LIBRARY_FRAGMENT(aten, library) { library.def("peaknet_throws(Tensor x, str text) -> Tensor", step_that_throws); }

// The interpreter turns whatever a step throws into a std::runtime_error: of the type of the exception nothing is left.
TEST_F(TorchScriptModel, memory_that_the_host_does_not_have_is_a_batch_that_is_too_large) {
  const Error error = error_of("  return torch.zeros([1 << 30, 1 << 20]) + x.sum()\n");
  EXPECT_EQ(error.id, "device.no-memory") << error.text();
  EXPECT_NE(error.what.find("2 rows of 4x8"), std::string::npos) << error.text();
}

TEST_F(TorchScriptModel, what_a_gpu_would_throw_in_a_step_is_told_by_its_text) {
  for (const auto& [text, id] :
       {std::pair{"CUDA out of memory. Tried to allocate 2.00 GiB.", "device.no-memory"},
        std::pair{"CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "device.no-memory"},
        std::pair{"cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "device.no-memory"},
        std::pair{"CUDA error: an illegal memory access was encountered", "device.lost"},
        std::pair{"CUDA error: no kernel image is available for execution on the device", "model.failed"}}) {
    const Error error = error_of("  return torch.peaknet_throws(x, '" + std::string(text) + "')\n");
    EXPECT_EQ(error.id, id) << error.text();
    EXPECT_NE(error.what.find(text), std::string::npos) << error.text();
    EXPECT_EQ(error.text().find('\n'), std::string::npos) << error.text();
  }
}

TEST_F(TorchScriptModel, a_failure_leaves_the_model_usable) {
  const auto model = loaded(saved("  assert x.size(0) != 2\n  return torch.cat([x, x], dim=1)\n"));
  std::vector<float> pixels(64, 1.0F);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(
        model->run(contiguous(pixels.data(), Element::float32, 2, 1, 4, 8), nullptr, [](const TensorView&) {}).ok());
    int calls = 0;
    EXPECT_TRUE(
        model
            ->run(contiguous(pixels.data(), Element::float32, 1, 1, 4, 8), nullptr, [&](const TensorView&) { ++calls; })
            .ok());
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(TorchScriptModel, a_file_cut_at_any_place_is_unreadable) {
  const std::string whole = test::read_file(saved(kThreshold));
  ASSERT_GT(whole.size(), 200U);
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += whole.size() / 40) {
    const std::string path = folder_.file("cut.pt", whole.substr(0, bytes));
    const auto model = load_model({.path = path, .device = "cpu"});
    ASSERT_FALSE(model.ok()) << bytes << " of " << whole.size() << " bytes";
    EXPECT_EQ(model.error().id, bytes == 0 ? "model.not-a-model" : "model.unreadable") << bytes;
    EXPECT_NE(model.error().what.find(path), std::string::npos) << model.error().text();
    EXPECT_EQ(model.error().text().find('\n'), std::string::npos) << model.error().text();
  }
}

TEST_F(TorchScriptModel, an_archive_without_a_network_fails_with_what_it_lacks) {
  torch::jit::Module module("tiny");
  module.define("def backward(self, x: Tensor):\n  return x\n");
  const std::string path = folder_.path("tiny.pt");
  module.save(path);
  std::filesystem::permissions(path, std::filesystem::perms{0644});
  std::vector<float> pixels(32);
  const auto status =
      loaded(path)->run(contiguous(pixels.data(), Element::float32, 1, 1, 4, 8), nullptr, [](const TensorView&) {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.failed");
  EXPECT_NE(status.error().what.find("forward"), std::string::npos) << status.error().text();
}

TEST_F(TorchScriptModel, dropout_and_the_like_are_off) {
  torch::jit::Module module("tiny");
  module.register_attribute("training", torch::BoolType::get(), true);
  const auto model = loaded(saved(module, "  assert not self.training\n  return torch.cat([x, x], dim=1)\n"));
  std::vector<float> pixels(32, 1.0F);
  const auto status =
      model->run(contiguous(pixels.data(), Element::float32, 1, 1, 4, 8), nullptr, [](const TensorView&) {});
  EXPECT_TRUE(status.ok()) << status.error().text();
}

TEST_F(TorchScriptModel, a_run_uses_as_many_threads_as_were_asked_for_in_the_thread_that_runs_it) {
  const std::string path = saved(kThreshold);
  int inside = 0;
  std::thread([&] {
    const auto model = loaded(path);
    std::vector<float> pixels(32);
    EXPECT_TRUE(model
                    ->run(contiguous(pixels.data(), Element::float32, 1, 1, 4, 8), nullptr,
                          [&](const TensorView&) { inside = at::get_num_threads(); })
                    .ok());
  }).join();
  EXPECT_EQ(inside, 1);
}

}  // namespace
}  // namespace peaknet::model
