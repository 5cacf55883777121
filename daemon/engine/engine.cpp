#include "daemon/engine/engine.hpp"

#include <algorithm>

namespace peaknet::engine {

Engine::Engine(const WorkerOptions& options, std::vector<DevicePlan> plans, shm::EventCount& progress)
    : largest_batch_(options.batch) {
  for (std::uint32_t i = 0; i < plans.size(); ++i) {
    WorkerOptions own = options;
    own.index = i;
    own.name = plans[i].name;
    own.cpus = plans[i].cpus;
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

std::vector<std::future<RebufferReceipt>> Engine::rebuffer(std::uint32_t depth, std::uint32_t batch) {
  std::vector<std::future<RebufferReceipt>> receipts;
  for (auto& worker : workers_) {
    if (worker->state() == WorkerState::ready) receipts.push_back(worker->rebuffer(depth, batch));
  }
  return receipts;
}

}  // namespace peaknet::engine
