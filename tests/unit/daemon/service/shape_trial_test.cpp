#include "daemon/service/shape_trial.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "daemon/device/host_device.hpp"
#include "daemon/service/devices.hpp"

namespace peaknet::service {
namespace {

// A network that was compiled for images of one size, in these numbers of rows.
class FixedModel final : public model::Model {
 public:
  FixedModel(std::int64_t side, std::vector<std::int64_t> rows)
      : side_(side), info_{"fixed.pt2", "package", "", std::move(rows)} {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void* /*stream*/,
             const std::function<void(const kernels::TensorView&)>& /*use*/) override {
    std::copy_n(input.shape, 4, seen_.begin());
    if (input.shape[2] == side_ && input.shape[3] == side_) return {};
    return Error{"model.failed", "this network is for " + std::to_string(side_) + " pixels a side", "", ""};
  }
  const auto& seen() const { return seen_; }

 private:
  std::int64_t side_;
  model::ModelInfo info_;
  std::array<std::int64_t, 4> seen_{};
};

Status try_on(FixedModel& model, std::array<std::uint32_t, 3> shape) {
  auto device = device::make_host_device();
  config::Config config;
  config.pool.shape = shape;
  config.preprocess.multiple = 16;
  return run_once(*device, model, worker_options(config));
}

TEST(ShapeTrial, a_model_that_takes_the_shape_is_run_with_it_once) {
  FixedModel model(64, {});
  const auto outcome = try_on(model, {2, 60, 50});
  EXPECT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(model.seen(), (std::array<std::int64_t, 4>{2, 1, 64, 64})) << "the panels of one event, padded";
}

TEST(ShapeTrial, one_that_was_compiled_for_other_images_says_why_not) {
  FixedModel model(64, {});
  EXPECT_EQ(try_on(model, {1, 96, 64}).error().id, "model.failed");
}

TEST(ShapeTrial, one_without_a_network_for_so_many_panels_is_not_even_run) {
  FixedModel model(64, {8, 16});
  const auto refused = try_on(model, {3, 64, 64});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "model.bad-rows");
  EXPECT_EQ(refused.error().what, "fixed.pt2 runs with 8, 16 rows alone, and an event would have 3 panels");
  EXPECT_EQ(model.seen()[0], 0);
  EXPECT_TRUE(try_on(model, {8, 64, 64}));
}

TEST(ShapeTrial, the_configured_model_is_loaded_for_it) {
  config::Config config;
  config.engine.devices = {"cpu"};
  config.model.path = "builtin:threshold=100";
  EXPECT_TRUE(try_shape(config));
  config.model.path = "/no/such/model.pt";
  EXPECT_EQ(try_shape(config).error().id, "model.missing");
}

}  // namespace
}  // namespace peaknet::service
