// DeviceModels: the networks of one worker on its device: the one that works, the smaller one of shedding, one that
// waits to take over, and those that no batch needs any more. A model enters by its stored input and a warm-up of every
// bucket, in the very way a batch runs (model_verification.hpp), and leaves on the compute stream, where it lived.
//
// Threads: the worker's, but for info(). Calls that load or prove a model wait for the device, with a bound.
// Errors: model.*, device.*, engine.given-up; nothing has changed then, and the model that works goes on.
// After a crash: nothing is left.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/device_report.hpp"
#include "daemon/engine/device_watch.hpp"
#include "daemon/engine/worker_options.hpp"
#include "daemon/model/recorded_model.hpp"

namespace peaknet::engine {

class DeviceModels {
 public:
  using SharedModel = std::shared_ptr<model::RecordedModel>;

  // Everything outlives this. `plan` follows what the working model can run.
  DeviceModels(const WorkerOptions& options, BatchPlan& plan, DeviceWatch& watch, const DeviceReport& report)
      : options_(options), plan_(plan), watch_(watch), report_(report) {}
  DeviceModels(const DeviceModels&) = delete;
  DeviceModels& operator=(const DeviceModels&) = delete;

  // Any thread: of the model that works.
  model::ModelInfo info() const;

  // --- the worker's thread; `input` is the memory of the network's input on `device` ---

  // In the context of the compute stream.
  Result<SharedModel> make(device::Device& device, const ModelMaker& make_model);
  // The first model of the worker. What is too large for the device lowers the plan.
  Status begin_with(device::Device& device, std::byte* input, SharedModel model);
  // That of shedding, if there is one; it must be good for the same batches.
  Status load_smaller(device::Device& device, std::byte* input);

  // A change in two steps, so that several devices change together or not at all: prove this model and keep it beside
  // the one that works; then let it take over from the next batch on, or drop it (`commit`: model.not-offered).
  Status stage(device::Device& device, std::byte* input, std::unique_ptr<model::Model> model);
  Status commit(bool take_over);

  struct Choice {
    SharedModel model;
    std::uint64_t number = 0;  // that its results carry
  };
  // For a batch of so many rows at once.
  Choice choose(bool want_smaller, std::uint32_t rows) const;

  // Was never on a device: goes with the others that nobody needs.
  void discard(std::unique_ptr<model::Model> model);
  // Those that nobody needs any more go where they lived.
  void retire(device::Device& device);
  // The device is lost: they stay until the process ends, because what frees their memory there may throw in a
  // destructor (AOTInductor's containers do), and would end the process and the devices that go on.
  void leave_all_behind();
  void forget_all();
  // What a verification left that the device did not come to the end of. Precondition: the device has let go.
  void forget_trial() { trial_.reset(); }

 private:
  struct Candidate {
    SharedModel model;
    std::string golden;  // what to tell of its stored input
  };

  Result<std::string> warm_up_and_verify(device::Device& device, std::byte* input, const SharedModel& model,
                                         BatchPlan& plan, bool may_shrink);
  Status warm(device::Device& device, std::byte* input, const SharedModel& model, BatchPlan& plan, bool may_shrink);
  Status record_runs(device::Device& device, const SharedModel& model, const kernels::TensorView& input,
                     std::uint32_t events);
  void install(Candidate candidate);

  const WorkerOptions& options_;
  BatchPlan& plan_;
  DeviceWatch& watch_;
  const DeviceReport& report_;

  SharedModel working_;
  std::uint64_t working_number_ = 0;
  SharedModel smaller_;  // for shedding; null: none
  std::uint64_t smaller_number_ = 0;
  std::optional<Candidate> candidate_;
  std::vector<SharedModel> retired_;  // until no batch needs them any more
  std::shared_ptr<void> trial_;       // of a model, that the device did not come to the end of
  mutable std::mutex mutex_;          // of info_
  model::ModelInfo info_;
};

}  // namespace peaknet::engine
