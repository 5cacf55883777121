#include "daemon/supervisor/shape_verification.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <thread>

#include "daemon/device/host_device.hpp"
#include "daemon/supervisor/engine_plan.hpp"
#include "tests/support/standstill.hpp"

namespace peaknet::supervisor {
namespace {

using test::Standstill;

// A network that was compiled for images of one size, in these numbers of rows.
class FixedModel final : public model::Model {
 public:
  using Shape = std::array<std::int64_t, 4>;
  FixedModel(std::int64_t side, std::vector<std::int64_t> rows)
      : side_(side), info_{"fixed.pt2", "package", "", std::move(rows)} {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void* /*stream*/,
             const std::function<void(const kernels::TensorView&)>& /*use*/) override {
    std::copy_n(input.shape, 4, seen_->begin());
    if (input.shape[2] == side_ && input.shape[3] == side_) return {};
    return Error{"model.failed", "this network is for " + std::to_string(side_) + " pixels a side", "", ""};
  }
  const Shape& seen() const { return *seen_; }  // also of its copies

 private:
  std::int64_t side_;
  model::ModelInfo info_;
  std::shared_ptr<Shape> seen_ = std::make_shared<Shape>();
};

Status try_on(const engine::DeviceMaker& make_device, const engine::ModelMaker& make_model,
              std::array<std::uint32_t, 3> shape, const std::stop_token& stop = {}) {
  config::Config config;
  config.pool.shape = shape;
  config.preprocess.multiple = 16;
  config.engine.stuck_seconds = 0.05;
  auto options = worker_options(config);
  options.last_patience = std::chrono::milliseconds(1);
  return try_shape_on(make_device, make_model, options, stop);
}
Status try_on(const FixedModel& model, std::array<std::uint32_t, 3> shape) {
  return try_on(
      []() -> Result<std::unique_ptr<device::Device>> { return device::make_host_device(); },
      [&]() -> Result<std::unique_ptr<model::Model>> { return std::unique_ptr<model::Model>(new FixedModel(model)); },
      shape);
}

TEST(ShapeTrial, a_model_that_takes_the_shape_is_run_with_it_once) {
  FixedModel model(64, {});
  const auto outcome = try_on(model, {2, 60, 50});
  EXPECT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(model.seen(), (FixedModel::Shape{2, 1, 64, 64})) << "the panels of one event, padded";
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
  EXPECT_TRUE(try_shape(config, {}));
  config.model.path = "/no/such/model.pt";
  EXPECT_EQ(try_shape(config, {}).error().id, "model.missing");
}

class HangingModel final : public model::Model {
 public:
  explicit HangingModel(std::shared_ptr<Standstill> still) : still_(std::move(still)) {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void* /*stream*/,
             const std::function<void(const kernels::TensorView&)>& /*use*/) override {
    still_->enter();
    std::memset(input.data, 0, sizeof(float));  // it may still write there
    return {};
  }

 private:
  std::shared_ptr<Standstill> still_;
  model::ModelInfo info_{"hanging.pt", "test", ""};
};

engine::ModelMaker hanging_in_a_run(const std::shared_ptr<Standstill>& still) {
  return [still]() -> Result<std::unique_ptr<model::Model>> {
    return std::unique_ptr<model::Model>(new HangingModel(still));
  };
}
const engine::DeviceMaker kHost = []() -> Result<std::unique_ptr<device::Device>> {
  return device::make_host_device();
};

TEST(ShapeTrial, a_device_that_hangs_is_given_up_and_may_go_on_later) {
  const auto in_run = std::make_shared<Standstill>();
  const auto in_load = std::make_shared<Standstill>();
  const engine::ModelMaker loads = [in_load]() -> Result<std::unique_ptr<model::Model>> {
    in_load->enter();
    return Error{"model.missing", "", "", ""};
  };
  for (const auto& [make, doing] :
       {std::pair{hanging_in_a_run(in_run), "a run with events of that shape"}, std::pair{loads, "loading a model"}}) {
    const auto refused = try_on(kHost, make, {1, 64, 64});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().id, "device.stuck");
    EXPECT_NE(refused.error().what.find(doing), std::string::npos) << refused.error().text();
    EXPECT_NE(refused.error().untouched.find("stays until peaknetd ends"), std::string::npos);
  }
  in_run->let_go_on();
  in_load->let_go_on();
}

TEST(ShapeTrial, a_driver_that_does_not_even_return_a_device_holds_nobody_up) {
  const auto still = std::make_shared<Standstill>();
  const engine::DeviceMaker make = [still]() -> Result<std::unique_ptr<device::Device>> {
    still->enter();
    return device::make_host_device();
  };
  const auto refused = try_on(make, hanging_in_a_run(still), {1, 64, 64});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "device.stuck");
  EXPECT_NE(refused.error().untouched.find("stays until peaknetd ends"), std::string::npos);
  still->let_go_on();
}

TEST(ShapeTrial, a_stop_ends_it_also_where_nothing_is_ever_too_long) {
  const auto still = std::make_shared<Standstill>();
  std::stop_source stop;
  const std::jthread asks([&] {
    still->wait_until_entered();
    stop.request_stop();
  });
  engine::WorkerOptions options = worker_options(config::Config{});
  options.stuck_after = std::chrono::nanoseconds(0);
  options.last_patience = std::chrono::milliseconds(1);
  EXPECT_EQ(try_shape_on(kHost, hanging_in_a_run(still), options, stop.get_token()).error().id, "engine.given-up");
  still->let_go_on();
}

}  // namespace
}  // namespace peaknet::supervisor
