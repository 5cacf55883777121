#include "daemon/supervisor/shape_verification.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/supervisor/device_thread.hpp"
#include "daemon/supervisor/engine_plan.hpp"

namespace peaknet::supervisor {
namespace {

using Steps = std::atomic<std::uint64_t>;  // goes up as long as the thread of a verification is in no call

// One verification, with all that its device may touch: it goes after release() returned true, or stays.
class Verification {
 public:
  Verification(engine::WorkerOptions options, std::unique_ptr<device::Device> device, std::stop_token stop,
               std::shared_ptr<Steps> steps)
      : options_(std::move(options)), stop_(std::move(stop)), steps_(std::move(steps)), device_(std::move(device)) {}

  Status load(const engine::ModelMaker& make) {
    device_->compute([this, make](void*) {
      auto loaded = make();
      if (loaded) {
        model_ = std::move(*loaded);
      } else {
        outcome_ = loaded.error();
      }
    });
    return end_of(engine::kPatienceInLoading, "loading a model");
  }

  Status run() {
    const auto& layout = options_.layout;
    engine::BatchPlan plan(options_.batch, std::max(1U, layout.panels));
    if (!plan.offer(model_->info().rows)) return wrong_rows();
    const std::uint32_t rows = plan.rows_at_once(plan.buckets().front());
    const std::size_t bytes = std::size_t{rows} * layout.padded_height * layout.padded_width *
                              static_cast<std::size_t>(kernels::size_of(options_.element));
    auto input = device_->reserve(bytes);
    if (!input) return input.error();
    input_ = std::move(*input);
    device_->clear(input_->address(), bytes);
    device_->compute([this, rows](void* stream) {
      const auto view = kernels::contiguous(input_->address(), options_.element, rows, 1, options_.layout.padded_height,
                                            options_.layout.padded_width);
      outcome_ = model_->run(view, stream, [](const kernels::TensorView&) {});
    });
    return end_of(engine::kPatienceInWarmUp, "a run with events of that shape");
  }

  // Takes the model down where it was made. False: the device has not let go, so all of this must stay.
  bool release() {
    if (!device_->release(stuck_ ? std::chrono::nanoseconds(0) : options_.last_patience)) return false;
    if (lost_) {
      engine::leave_behind(std::shared_ptr<model::Model>(std::move(model_)));  // its destructor may throw there
    } else {
      device_->compute([this](void*) { model_.reset(); });
    }
    return device_->release(options_.last_patience);
  }

 private:
  Status end_of(int patience, const char* doing) {
    const engine::WaitBound bound{.longest = patience * options_.bound(),
                                  .untouched =
                                      "nothing was changed; what that device may still touch stays until "
                                      "peaknetd ends",
                                  .goes_on =
                                      [this] {
                                        steps_->fetch_add(1, std::memory_order_relaxed);
                                        return !stop_.stop_requested();
                                      },
                                  .now = options_.now};
    auto reached = engine::wait_bounded([this](auto slice) { return device_->idle_within(slice); },
                                        device_->name() + ": " + doing, bound);
    stuck_ = !reached && reached.error().id != engine::kGivenUp;
    if (!reached) return reached;
    auto health = device_->health();
    lost_ = !health.ok();
    return lost_ ? health : outcome_;
  }
  Error wrong_rows() const {
    std::string rows;
    for (const auto count : model_->info().rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
    return {"model.bad-rows",
            model_->info().path + " runs with " + rows + " rows alone, and an event would have " +
                std::to_string(options_.layout.panels) + " panels",
            "nothing was changed", "make it with models/export.py for 1, 2, 4, ... times that many rows"};
  }

  engine::WorkerOptions options_;
  std::stop_token stop_;
  std::shared_ptr<Steps> steps_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<device::Memory> input_;
  Status outcome_;
  bool stuck_ = false, lost_ = false;
  std::unique_ptr<device::Device> device_;  // last: its streams end before what they use
};

Status try_here(const engine::DeviceMaker& make_device, const engine::ModelMaker& make_model,
                const engine::WorkerOptions& options, const std::stop_token& stop,
                const std::shared_ptr<Steps>& steps) {
  auto device = make_device();
  if (!device) return device.error();
  const auto verification = std::make_shared<Verification>(options, std::move(*device), stop, steps);
  Status outcome = verification->load(make_model);
  if (outcome) outcome = verification->run();
  if (!verification->release()) engine::leave_behind(verification);
  return outcome;
}

}  // namespace

Status try_shape_on(const engine::DeviceMaker& make_device, const engine::ModelMaker& make_model,
                    const engine::WorkerOptions& options, const std::stop_token& stop) {
  const auto steps = std::make_shared<Steps>(0);
  auto thread = std::make_shared<DeviceThread>();
  auto answer =
      thread->run(std::function<Status()>([=] { return try_here(make_device, make_model, options, stop, steps); }));
  const auto over = [&](std::chrono::nanoseconds within) {
    return answer.wait_for(within) == std::future_status::ready;
  };
  while (!over(std::chrono::nanoseconds(0))) {
    const auto begin = steps->load(std::memory_order_relaxed);
    const engine::WaitBound bound{
        .longest = engine::kPatienceInLoading * options.bound(),
        .untouched = "nothing was changed; what that device may still touch stays until peaknetd ends",
        .goes_on = [&] { return !stop.stop_requested(); },
        .now = options.now};
    const auto reached =
        engine::wait_bounded([&](auto slice) { return over(slice) || steps->load(std::memory_order_relaxed) != begin; },
                             "a call of the driver or of the model", bound);
    if (reached || over(options.last_patience + 2 * engine::kLookSlice)) continue;
    engine::leave_behind(std::move(thread));
    return reached;
  }
  return answer.get();
}

Status try_shape(const config::Config& config, const std::stop_token& stop) {
  const auto plans = plan_devices(config);
  if (!plans) return plans.error();
  return try_shape_on(plans->front().make_device, plans->front().make_model, worker_options(config), stop);
}

}  // namespace peaknet::supervisor
