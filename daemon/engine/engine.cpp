#include "daemon/engine/engine.hpp"

#include <algorithm>
#include <utility>

namespace peaknet::engine {
namespace {
constexpr const char* kOldGoesOn = "the model that works goes on, no frame was lost";
}

Engine::Engine(const WorkerOptions& options, std::vector<DevicePlan> plans, shm::EventCount& progress)
    : largest_batch_(options.batch), progress_(progress) {
  const auto mappings = shm::Mappings::of(options.instance);
  for (std::uint32_t i = 0; i < plans.size(); ++i) {
    WorkerOptions own = options;
    own.mappings = mappings;
    own.index = i;
    own.name = plans[i].name;
    own.cpus = plans[i].cpus;
    own.make_smaller_model = std::move(plans[i].make_smaller_model);
    loaders_.push_back(std::move(plans[i].load_other));
    workers_.push_back(std::make_unique<Worker>(own, std::move(plans[i].make_device), std::move(plans[i].make_model),
                                                gate_, progress));
  }
}

bool Engine::warming() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->state() == WorkerState::loading || worker->state() == WorkerState::warming;
  });
}

std::uint32_t Engine::usable() const {
  return static_cast<std::uint32_t>(std::count_if(
      workers_.begin(), workers_.end(), [](const auto& worker) { return worker->state() == WorkerState::ready; }));
}

std::uint32_t Engine::frames_in_flight() const {
  std::uint32_t count = 0;
  for (const auto& worker : workers_) count += worker->state() == WorkerState::lost ? 0 : worker->frames_in_flight();
  return count;
}

std::uint32_t Engine::frames_held() const {
  std::uint32_t count = 0;
  for (const auto& worker : workers_) count += worker->state() == WorkerState::lost ? worker->frames_in_flight() : 0;
  return count;
}

std::vector<std::uint64_t> Engine::steps() const {
  std::vector<std::uint64_t> all;
  for (const auto& worker : workers_)
    if (worker->state() != WorkerState::lost) all.push_back(worker->steps());
  return all;
}

std::vector<Error> Engine::failures() const {
  std::vector<Error> all;
  for (const auto& worker : workers_) {
    if (worker->state() == WorkerState::lost) all.push_back(worker->failure());
  }
  return all;
}

model::ModelInfo Engine::model_info() const {
  const auto ready = std::find_if(workers_.begin(), workers_.end(),
                                  [](const auto& worker) { return worker->state() == WorkerState::ready; });
  return ready == workers_.end() ? model::ModelInfo{} : (*ready)->model_info();
}

std::future<Result<model::ModelInfo>> Engine::load(const std::string& path) {
  std::promise<Result<model::ModelInfo>> promise;
  auto future = promise.get_future();
  if (loading_.exchange(true)) {
    promise.set_value(Error{"model.busy", "another model is being loaded", kOldGoesOn, "wait for its reply"});
    return future;
  }
  loader_ = std::jthread([this, path, promise = std::move(promise)]() mutable {
    auto outcome = change_model(path);
    if (!outcome) {
      Error error = outcome.error();
      error.untouched = kOldGoesOn;
      outcome = error;
    }
    loading_.store(false);
    promise.set_value(std::move(outcome));
    progress_.notify();
  });
  return future;
}

// In the thread of the load.
Result<model::ModelInfo> Engine::change_model(const std::string& path) {
  std::vector<Worker*> ready;
  std::vector<std::unique_ptr<model::Model>> models;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->state() != WorkerState::ready || !loaders_[i]) continue;
    auto loaded = loaders_[i](path);
    if (!loaded) return loaded.error();
    ready.push_back(workers_[i].get());
    models.push_back(std::move(*loaded));
    if (models.back()->info().sha256 != models.front()->info().sha256)
      return Error{"model.changed", path + " was changed while it was being loaded", "", "load it again"};
  }
  if (ready.empty()) return Error{"model.no-device", "no device is ready for another model", "", "peaknetctl status"};
  const model::ModelInfo info = models.front()->info();

  const auto outcome_of = [](std::vector<std::future<Status>> answers) {
    Status outcome;
    for (auto& answer : answers) {
      try {
        if (auto one = answer.get(); !one && outcome.ok()) outcome = one;
      } catch (const std::future_error&) {
        if (outcome.ok())
          outcome =
              Error{"model.device-lost", "a device was lost in the middle of the change", "", "peaknetctl status"};
      }
    }
    return outcome;
  };
  std::vector<std::future<Status>> offers;
  for (std::size_t i = 0; i < ready.size(); ++i) offers.push_back(ready[i]->offer(std::move(models[i])));
  const Status offered = outcome_of(std::move(offers));
  std::vector<std::future<Status>> settled;
  for (Worker* worker : ready) settled.push_back(worker->settle(offered.ok()));
  const Status taken = outcome_of(std::move(settled));
  if (!offered) return offered.error();
  // A device that was lost between the two steps has no model at all; the others have the new one.
  if (!taken && usable() == 0) return taken.error();
  return info;
}

std::vector<std::future<RebufferReceipt>> Engine::rebuffer(std::uint32_t depth, std::uint32_t batch) {
  std::vector<std::future<RebufferReceipt>> receipts;
  for (auto& worker : workers_) {
    if (worker->state() == WorkerState::ready) receipts.push_back(worker->rebuffer(depth, batch));
  }
  return receipts;
}

}  // namespace peaknet::engine
