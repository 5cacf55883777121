#include "daemon/engine/device_models.hpp"

#include <algorithm>
#include <utility>

#include "base/log_line.hpp"
#include "daemon/device/fault.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/engine/model_verification.hpp"

namespace peaknet::engine {
namespace {

// `golden`: how it did on its stored input, as docs/protocol.md has it.
std::string self_test_text(const std::string& golden) {
  if (golden == "none") return "no self-test is stored with it";
  return golden == "equal" ? "self-test passed" : "self-test: " + golden;
}

constexpr int kWarmUps = 3;      // runs per bucket before `ready`: runtimes specialise during the first ones
constexpr int kWarmUpTries = 4;  // of a run that fails for a reason that may pass

bool runs_with(const model::Model& model, std::uint32_t rows) {
  const auto& offered = model.info().rows;
  return offered.empty() || std::find(offered.begin(), offered.end(), rows) != offered.end();
}

Error bad_rows(const model::ModelInfo& info, std::uint32_t panels) {
  std::string rows;
  for (const auto count : info.rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
  return {"model.bad-rows",
          info.path + " runs with " + rows + " rows alone, and an event has " + std::to_string(panels) + " panels",
          "it was not used", "make it with models/export.py for 1, 2, 4, ... times that many rows"};
}

}  // namespace

model::ModelInfo DeviceModels::info() const {
  const std::lock_guard hold(mutex_);
  return info_;
}

Result<DeviceModels::SharedModel> DeviceModels::make(device::Device& device, const ModelMaker& make_model) {
  struct Loaded {
    Status outcome;
    SharedModel model;
  };
  const auto shared = std::make_shared<Loaded>();  // a device that is stuck may still come to it when nobody waits
  watch_.allow(kPatienceInLoading);
  device.compute([shared, make_model, graphs = device.graphs()](void*) {
    auto loaded = make_model();
    if (loaded) {
      shared->model = std::make_shared<model::RecordedModel>(std::move(*loaded), graphs);
    } else {
      shared->outcome = loaded.error();
    }
  });
  if (auto reached = watch_.wait_until_idle(device, kPatienceInLoading, "loading a model"); !reached)
    return reached.error();
  if (!shared->outcome) return shared->outcome.error();
  return std::move(shared->model);
}

Status DeviceModels::begin_with(device::Device& device, std::byte* input, SharedModel model) {
  retired_.push_back(model);  // if it is refused it goes where it came from, on the compute stream
  auto proven = warm_up_and_verify(device, input, model, plan_, true);
  if (!proven) return proven.error();
  retired_.clear();
  install({std::move(model), std::move(*proven)});
  return {};
}

Status DeviceModels::load_smaller(device::Device& device, std::byte* input) {
  if (!options_.make_smaller_model) return {};
  auto made = make(device, options_.make_smaller_model);
  if (!made) return made.error();
  retired_.push_back(*made);
  BatchPlan plan = plan_;
  const auto proven = warm_up_and_verify(device, input, *made, plan, false);
  if (!proven) return proven.error();
  const auto& info = (*made)->info();
  if (plan.buckets() != plan_.buckets() || plan.rows_at_once(1) != plan_.rows_at_once(1)) {
    return Error{"model.bad-rows",
                 "shedding.model " + info.path + " runs with other numbers of rows than " + working_->info().path,
                 "nothing was started", "make both with the same models/export.py --batch"};
  }
  retired_.clear();
  smaller_ = std::move(*made);
  smaller_number_ = options_.enter_model ? options_.enter_model(info, *proven) : 0;
  log::info("device {}: smaller model {} ({}) loaded; {}", report_.index(), info.path, info.kind,
            self_test_text(*proven));
  return {};
}

// Slow first calls, wrong shapes and wrong numbers show up here, on the memory that batches use. The compute stream
// keeps it apart from batches in flight. With `may_shrink` what is too large for the device is not used. Returns what
// to tell of the stored input.
Result<std::string> DeviceModels::warm_up_and_verify(device::Device& device, std::byte* input, const SharedModel& model,
                                                     BatchPlan& plan, bool may_shrink) {
  if (!plan.offer(model->info().rows)) return bad_rows(model->info(), options_.layout.panels);
  watch_.allow(kPatienceInWarmUp);
  const auto wait = [&] { return watch_.wait_until_idle(device, kPatienceInWarmUp, "the run of a stored input"); };
  auto golden = try_golden(device, *model, options_.element, trial_, wait);
  if (!golden) return golden;
  if (auto warmed = warm(device, input, model, plan, may_shrink); !warmed) return warmed.error();
  return golden;
}

// Every bucket of the plan.
Status DeviceModels::warm(device::Device& device, std::byte* input, const SharedModel& model, BatchPlan& plan,
                          bool may_shrink) {
  const auto& layout = options_.layout;
  const auto wait = [&] { return watch_.wait_until_idle(device, kPatienceInWarmUp, "a run to warm up"); };
  const auto warm_up = WarmUp::prepare(device, layout);
  if (!warm_up) return warm_up.error();
  for (std::size_t i = 0; i < plan.buckets().size(); ++i) {
    const std::uint32_t rows = plan.rows_at_once(plan.buckets()[i]);
    const auto view = kernels::contiguous(input, options_.element, rows, 1, layout.padded_height, layout.padded_width);
    int tries = 0;
    for (int done = 0; done < kWarmUps;) {
      Status outcome = warm_up->run(model, view, plan.buckets()[i], trial_, wait);
      if (outcome.ok()) {
        ++done;
        continue;
      }
      const auto fault = device::fault_of(outcome.error());
      if (fault == device::Fault::transient && ++tries < kWarmUpTries) continue;
      if (fault != device::Fault::memory || !may_shrink || !plan.lower(rows)) return outcome;
      report_.shrank(outcome.error(),
                     "the largest batch is now " + std::to_string(plan.rows_at_once(plan.largest())) + " rows", plan);
      if (!plan.split()) return {};
      --i;  // one event in several passes: that shape is a new one
      break;
    }
    if (!plan.split() && model->records()) {
      if (auto recorded = record_runs(device, model, view, plan.buckets()[i]); !recorded) return recorded;
    }
  }
  return {};
}

// Runs of this batch as a graph, if that gives the same bits. An error is one of the device.
Status DeviceModels::record_runs(device::Device& device, const SharedModel& model, const kernels::TensorView& input,
                                 std::uint32_t events) {
  const auto shared = std::make_shared<Status>();  // a device that is stuck may still come to it when nobody waits
  device.compute([shared, model, input](void* stream) { *shared = model->record(input, stream); });
  const auto wait = [&] { return watch_.wait_until_idle(device, kPatienceInWarmUp, "the recording of a graph"); };
  if (auto reached = wait(); !reached) return reached;
  if (!shared->ok()) {
    log::info("device {}: {}", report_.index(), shared->error().text());
    return {};
  }
  return try_recorded(device, model, options_.layout, input, events, trial_, wait);
}

// From the next batch on.
void DeviceModels::install(Candidate candidate) {
  if (working_) retired_.push_back(std::move(working_));
  working_ = std::move(candidate.model);
  const auto info = working_->info();
  working_number_ = options_.enter_model ? options_.enter_model(info, candidate.golden) : 0;
  report_.record().graphs.store(working_->summary());
  log::info("device {}: model {} ({}) loaded; {}", report_.index(), info.path, info.kind,
            self_test_text(candidate.golden));
  const std::lock_guard hold(mutex_);
  info_ = info;
}

Status DeviceModels::stage(device::Device& device, std::byte* input, std::unique_ptr<model::Model> offered) {
  const auto model = std::make_shared<model::RecordedModel>(std::move(offered), device.graphs());
  retired_.push_back(model);  // wherever this ends, it goes away on the compute stream
  BatchPlan plan = plan_;
  plan.limit(options_.batch);
  auto proven = warm_up_and_verify(device, input, model, plan, false);
  if (!proven) return proven.error();
  candidate_ = Candidate{model, std::move(*proven)};
  return {};
}

Status DeviceModels::commit(bool take_over) {
  if (!take_over) {
    candidate_.reset();
    return {};
  }
  if (!candidate_) return Error{"model.not-offered", "no model waits to take over", "the model stays", ""};
  plan_.offer(candidate_->model->info().rows);
  report_.publish_plan(plan_);
  install(std::move(*candidate_));
  candidate_.reset();
  return {};
}

DeviceModels::Choice DeviceModels::choose(bool want_smaller, std::uint32_t rows) const {
  if (smaller_ && want_smaller && runs_with(*smaller_, rows)) return {smaller_, smaller_number_};
  return {working_, working_number_};
}

void DeviceModels::discard(std::unique_ptr<model::Model> model) {
  retired_.push_back(std::make_shared<model::RecordedModel>(std::move(model), nullptr));
}

void DeviceModels::retire(device::Device& device) {
  std::erase_if(retired_, [&](SharedModel& model) {
    if (model.use_count() > 1) return false;
    device.compute([gone = std::move(model)](void*) mutable { gone.reset(); });
    return true;
  });
}

void DeviceModels::leave_all_behind() {
  for (auto* model : {&working_, &smaller_}) leave_behind(std::move(*model));
  for (auto& model : retired_) leave_behind(std::move(model));
  if (candidate_) leave_behind(std::move(candidate_->model));
}

void DeviceModels::forget_all() {
  candidate_.reset();
  retired_.clear();
  smaller_.reset();
  working_.reset();
}

}  // namespace peaknet::engine
