#include "daemon/model/builtin_model.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

namespace peaknet::model {
namespace {

using kernels::contiguous;
using kernels::Element;
using kernels::TensorView;

std::unique_ptr<Model> made(const std::string& path) {
  auto model = make_builtin_model({.path = path, .device = "cpu"});
  EXPECT_TRUE(model.ok()) << model.error().text();
  return std::move(*model);
}

// logits[row][class][pixel]
using Logits = std::vector<std::vector<std::vector<float>>>;
Logits logits_of(Model& model, const TensorView& input) {
  Logits out;
  const auto status = model.run(input, nullptr, [&](const TensorView& logits) {
    for (std::int64_t row = 0; row < logits.shape[0]; ++row) {
      out.emplace_back();
      for (std::int64_t k = 0; k < logits.shape[1]; ++k) {
        out.back().emplace_back();
        for (std::int64_t y = 0; y < logits.shape[2]; ++y) {
          for (std::int64_t x = 0; x < logits.shape[3]; ++x) {
            out.back().back().push_back(
                static_cast<const float*>(logits.data)[row * logits.strides[0] + k * logits.strides[1] +
                                                       y * logits.strides[2] + x * logits.strides[3]]);
          }
        }
      }
    }
  });
  EXPECT_TRUE(status.ok()) << status.error().text();
  return out;
}

TEST(BuiltinModel, threshold_gives_zero_and_what_a_pixel_has_above_it) {
  const auto model = made("builtin:threshold=100");
  std::vector<float> pixels = {0, 99, 100, 101, 65535, -5};
  const auto logits = logits_of(*model, contiguous(pixels.data(), Element::float32, 1, 1, 2, 3));
  EXPECT_EQ(logits, (Logits{{{0, 0, 0, 0, 0, 0}, {-100, -1, 0, 1, 65435, -105}}}));
}

TEST(BuiltinModel, identity_is_a_threshold_of_zero) {
  const auto model = made("builtin:identity");
  std::vector<float> pixels = {0, 1, -1, 7};
  const auto logits = logits_of(*model, contiguous(pixels.data(), Element::float32, 2, 1, 1, 2));
  EXPECT_EQ(logits, (Logits{{{0, 0}, {0, 1}}, {{0, 0}, {-1, 7}}}));
}

TEST(BuiltinModel, a_threshold_may_be_any_number) {
  std::vector<float> pixels = {-3};
  EXPECT_EQ(
      logits_of(*made("builtin:threshold=-2.5"), contiguous(pixels.data(), Element::float32, 1, 1, 1, 1))[0][1][0],
      -0.5F);
  EXPECT_EQ(logits_of(*made("builtin:threshold=1e3"), contiguous(pixels.data(), Element::float32, 1, 1, 1, 1))[0][1][0],
            -1003.0F);
}

TEST(BuiltinModel, class_0_is_zero_whatever_sizes_were_run_before) {
  const auto model = made("builtin:threshold=1");
  std::vector<float> pixels(64, 9.0F);
  for (const auto& [rows, height, width] : {std::tuple{4, 2, 3}, {1, 4, 4}, {2, 5, 1}, {8, 2, 4}, {1, 2, 3}}) {
    const auto logits = logits_of(*model, contiguous(pixels.data(), Element::float32, rows, 1, height, width));
    ASSERT_EQ(logits.size(), static_cast<std::size_t>(rows));
    for (const auto& row : logits) {
      EXPECT_EQ(row[0], std::vector<float>(static_cast<std::size_t>(height * width), 0.0F))
          << rows << "x" << height << "x" << width;
      EXPECT_EQ(row[1], std::vector<float>(static_cast<std::size_t>(height * width), 8.0F));
    }
  }
}

TEST(BuiltinModel, rows_of_the_input_may_lie_apart) {
  const auto model = made("builtin:identity");
  std::vector<float> pixels = {1, 2, -1, -1, 3, 4, -1, -1};
  TensorView input = contiguous(pixels.data(), Element::float32, 1, 1, 2, 2);
  input.strides[2] = 4;
  EXPECT_EQ(logits_of(*model, input)[0][1], (std::vector<float>{1, 2, 3, 4}));
}

TEST(BuiltinModel, delay_takes_its_time_and_marks_nothing) {
  const auto model = made("builtin:delay=20");
  std::vector<float> pixels(4, 1000.0F);
  const auto begin = std::chrono::steady_clock::now();
  const auto logits = logits_of(*model, contiguous(pixels.data(), Element::float32, 1, 1, 2, 2));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
  EXPECT_EQ(logits, (Logits{{{0, 0, 0, 0}, {0, 0, 0, 0}}}));
}

TEST(BuiltinModel, it_says_what_it_is) {
  const auto model = made("builtin:threshold=3");
  EXPECT_EQ(model->info().path, "builtin:threshold=3");
  EXPECT_EQ(model->info().kind, "builtin");
  EXPECT_EQ(model->info().sha256, "");
}

TEST(BuiltinModel, an_input_of_another_kind_is_refused_with_the_key_to_change) {
  const auto model = made("builtin:threshold=3");
  std::vector<float> pixels(4);
  for (const auto& input : {contiguous(pixels.data(), Element::bfloat16, 1, 1, 2, 2),
                            contiguous(pixels.data(), Element::float16, 1, 1, 2, 2),
                            contiguous(pixels.data(), Element::float32, 1, 2, 1, 2)}) {
    const auto status = model->run(input, nullptr, [](const TensorView&) { FAIL() << "there are no logits"; });
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().id, "model.failed");
    EXPECT_NE(status.error().remedy.find("engine.precision: float32"), std::string::npos);
  }
}

TEST(BuiltinModel, a_name_or_a_number_that_makes_no_sense_is_refused_with_the_ones_that_do) {
  for (const std::string path :
       {"builtin:", "builtin:unknown", "builtin:threshold", "builtin:threshold=", "builtin:threshold=ten",
        "builtin:threshold=10x", "builtin:threshold=nan", "builtin:threshold=inf", "builtin:delay=-1",
        "builtin:delay=inf", "builtin:delay=1e300", "builtin:identity=1", "builtin:Threshold=1"}) {
    const auto model = make_builtin_model({.path = path, .device = "cpu"});
    ASSERT_FALSE(model.ok()) << path;
    EXPECT_EQ(model.error().id, "model.unknown-builtin");
    EXPECT_NE(model.error().what.find("'" + path + "'"), std::string::npos) << model.error().text();
    for (const auto* known : {"builtin:identity", "builtin:threshold=COUNTS", "builtin:delay=MS"}) {
      EXPECT_NE(model.error().remedy.find(known), std::string::npos) << model.error().text();
    }
  }
}

TEST(BuiltinModel, the_form_of_the_host_says_that_it_runs_there_alone) {
  const auto model = make_builtin_model({.path = "builtin:identity", .device = "cuda:0"});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().id, "model.unknown-kind");
  EXPECT_NE(model.error().what.find("cuda:0"), std::string::npos);
  EXPECT_NE(model.error().remedy.find("engine.devices: cpu"), std::string::npos);
}

}  // namespace
}  // namespace peaknet::model
