#include "daemon/engine/engine.hpp"

#include <algorithm>
#include <utility>

#include "daemon/engine/left_behind.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {
namespace {
constexpr const char* kOldGoesOn = "the current model stays in use, no frame was lost";
}

Engine::Engine(const WorkerOptions& options, std::vector<DevicePlan> plans, shm::EventCount& progress)
    : largest_batch_(options.batch),
      longest_call_(WorkerLoop::longest_call(options)),
      last_call_(options.last_call),
      progress_(progress) {
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

Engine::~Engine() {
  for (auto& worker : workers_) worker->end_soon();
  for (auto& worker : workers_) worker->finish();
  finish_load();  // after them: what they were asked they have answered, or never will
}

void Engine::finish_load() {
  if (!loader_.joinable()) return;
  while (load_->ended.wait_for(shm::kWaitSlice) != std::future_status::ready) {
    const auto standing = load_->mark.standing(device::CallMark::Clock::now());
    if (!standing || standing->time < last_call_ || !load_->mark.leave_behind()) continue;
    leave_behind(load_);
    loader_.detach();
    return;
  }
  loader_.join();
}

void Engine::look_after() {
  for (auto& worker : workers_) worker->look_after();
  if (!loading_.load()) return;
  const auto standing = load_->mark.standing(device::CallMark::Clock::now());
  if (!standing || standing->time < longest_call_) return;
  const Error why{"device.stuck",
                  "loading " + load_->path + " has not returned for " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(standing->time).count()) + " s",
                  kOldGoesOn, "see nvidia-smi and dmesg (Xid); restart peaknetd before another model is loaded"};
  load_->mark.give_up(why, [&] { load_->answer.set_value(why); });
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
  if (loading_.exchange(true)) {
    std::promise<Result<model::ModelInfo>> busy;
    busy.set_value(Error{"model.busy", "another model is being loaded", kOldGoesOn, "wait for its reply"});
    return busy.get_future();
  }
  if (loader_.joinable()) loader_.join();  // it has nothing to do any more
  load_ = std::make_shared<Load>(path, loaders_);
  auto future = load_->answer.get_future();
  loader_ = std::jthread([this, load = load_.get()] { run(*load); });
  return future;
}

// In the thread of the load, as what follows.
void Engine::run(Load& load) {
  load.mark.adopt();
  auto outcome = change_model(load);
  if (!outcome) {
    Error error = outcome.error();
    error.untouched = kOldGoesOn;
    outcome = error;
  }
  loading_.store(false);
  if (load.mark.verdict()) load.answer.set_value(std::move(outcome));
  progress_.notify();
  load.end.set_value();
}

// One for each device that is ready.
Status Engine::load_all(Load& load, std::vector<Worker*>& ready, Models& models) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->state() != WorkerState::ready || !load.loaders[i]) continue;
    auto loaded = [&] {
      const device::CallMark::Inside inside(load.mark, "loading a model");
      return load.loaders[i](load.path);
    }();
    if (!loaded) return loaded.error();
    ready.push_back(workers_[i].get());
    models.push_back(std::move(*loaded));
    if (auto verdict = load.mark.verdict(); !verdict) {
      for (auto& model : models) leave_behind(std::shared_ptr<model::Model>(std::move(model)));
      return verdict;
    }
    if (models.back()->info().sha256 != models.front()->info().sha256)
      return Error{"model.changed", load.path + " was changed while it was being loaded", "", "load it again"};
  }
  if (ready.empty()) return Error{"model.no-device", "no device is ready for another model", "", "peaknetctl status"};
  return {};
}

Result<model::ModelInfo> Engine::change_model(Load& load) {
  std::vector<Worker*> ready;
  Models models;
  if (auto loaded = load_all(load, ready, models); !loaded) {
    const device::CallMark::Inside inside(load.mark, "giving a model back");
    models.clear();
    return loaded.error();
  }
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
  for (std::size_t i = 0; i < ready.size(); ++i) offers.push_back(ready[i]->stage(std::move(models[i])));
  const Status offered = outcome_of(std::move(offers));
  std::vector<std::future<Status>> settled;
  for (Worker* worker : ready) settled.push_back(worker->commit(offered.ok()));
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
