// Verification: what a model must go through on a device before it may make results: its stored input, and every bucket
// in the way a batch runs. Called from the worker's thread; waits for the device.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/worker_options.hpp"
#include "daemon/model/recorded_model.hpp"

namespace peaknet::engine {

// Waits until the device has done all that was put on it. Errors: why it never will.
using DeviceWait = std::function<Status()>;

// That a network gives logits that are no numbers: `what` of it, and what was `untouched`.
Error not_finite(std::string what, std::string untouched);

// Runs of a model in the way a batch runs, on a made-up picture: slow first calls, wrong shapes and logits that are no
// numbers show here.
class WarmUp {
 public:
  static Result<WarmUp> prepare(device::Device& device, const kernels::FrameLayout& layout);
  // One run, of a batch of `events` that begins at `input`. Errors: those of the model; model.not-finite with how many
  // panels are concerned and which is the first; device.*, after which `in_use` holds what the device may still come
  // to.
  Status run(const std::shared_ptr<model::RecordedModel>& model, const kernels::TensorView& input, std::uint32_t events,
             std::shared_ptr<void>& in_use, const DeviceWait& wait) const;

 private:
  struct State;
  explicit WarmUp(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// Run the model's golden input on the device and compare its mask. Returns what to tell of it: "none", "equal", "3 of
// 512 pixels differ, 8 may". Errors: model.wrong-result with both numbers, model.not-finite as WarmUp, those of the
// model, device.*. After one of
// the device `in_use` holds what it may still come to, until the device has let go; `model` outlives that too.
Result<std::string> try_golden(device::Device& device, model::Model& model, kernels::Element element,
                               std::shared_ptr<void>& in_use, const DeviceWait& wait);

// A run of this batch was recorded: does its replay mark what a run marks, on a picture made up here? If not the model
// runs such batches unrecorded; if it does, the memory that only such runs need is given back. Errors are those of the
// device and of the model. After one `in_use` holds what the device may still come to: it goes when the device has let
// go.
Status try_recorded(device::Device& device, const std::shared_ptr<model::RecordedModel>& model,
                    const kernels::FrameLayout& layout, const kernels::TensorView& input, std::uint32_t events,
                    std::shared_ptr<void>& in_use, const DeviceWait& wait);

}  // namespace peaknet::engine
