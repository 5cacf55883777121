#include "daemon/supervisor/run_state.hpp"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"
#include "control/status_documents.hpp"
#include "shm/clock.hpp"
#include "shm/frame_accounting.hpp"

namespace peaknet::supervisor {

using shm::DaemonState;

void RunState::set(DaemonState state) {
  const DaemonState before = std::exchange(state_, state);
  pool_manager_.layout().daemon.state_since_ns.store(shm::realtime_ns());
  publish();
  if (before != state) log::info("state {} -> {}", shm::name(before), shm::name(state));
}

void RunState::publish() {
  auto& shown = pool_manager_.layout().daemon.state;
  if (shown.load() != state_) shown.store(state_);
}

std::string RunState::unfinished() const {
  const auto& run = pool_manager_.layout().run;
  return run.ordinal.load() != 0 && run.ended_ns.load() == 0 ? run.id.load() : std::string{};
}

std::string RunState::running() const {
  return state_ == DaemonState::running ? pool_manager_.layout().run.id.load() : std::string{};
}

std::string RunState::fresh_id() const {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  std::string id = text.data();
  const std::string last = pool_manager_.layout().run.id.load();
  if (last == id || last.starts_with(id + "-"))
    id += "-" + std::to_string(pool_manager_.layout().run.ordinal.load() + 1);
  return id;
}

shm::RunFacts RunState::facts() const {
  return shm::run_facts_of(pool_manager_.layout(), pool_manager_.layout().run.id.load());
}

void RunState::begin(const std::string& id, const shm::RunFacts& facts, engine::Engine& engine) {
  auto& run = pool_manager_.layout().run;
  const bool goes_on = run.ordinal.load() != 0 && run.ended_ns.load() == 0 && run.id.load() == id;
  if (!goes_on) {
    shm::begin_run_accounting(pool_manager_.control_segment());
    for (auto& stage : pool_manager_.layout().stages) stage.reset();
    pool_manager_.layout().peaks.reset();
    run.id.store(id);
    run.ordinal.fetch_add(1);
    run.started_ns.store(shm::realtime_ns());
    run.ended_ns.store(0);
  }
  if (!goes_on || facts.any()) shm::enter_run_facts(pool_manager_.layout(), run.ordinal.load(), id, facts);
  pool_manager_.layout().daemon.failure.store("");
  engine.open(id);
  set(DaemonState::running);
  log::info("run {} {}", id, goes_on ? "continues" : "begins");
}

Error RunState::fail(const engine::Engine& engine) {
  const auto failures = engine.failures();
  const Error cause = failures.empty() ? Error{"device.lost", "every device is lost", "", ""} : failures.front();
  pool_manager_.layout().daemon.failure.store(cause.text());
  set(DaemonState::failed);
  return cause;
}

void RunState::end(const Error* failure, std::int64_t took_ms) {
  auto& layout = pool_manager_.layout();
  layout.run.ended_ns.store(shm::realtime_ns());
  if (failure != nullptr) layout.daemon.failure.store(failure->text());  // before the state: who sees it asks why
  set(DaemonState::idle);
  if (failure != nullptr) {
    Error told = *failure;
    told.what = "run " + layout.run.id.load() + " ended: " + told.what;
    pool_manager_.record_error(told);
  } else {
    log::info("run {} ended after a drain of {} ms", layout.run.id.load(), took_ms);
  }
}

nlohmann::json RunState::reply() const {
  const auto stats = control::stats_document(pool_manager_.control_segment(), pool_manager_.pool().get());
  return {{"run", pool_manager_.layout().run.id.load()},
          {"state", shm::name(state_)},
          {"took_ms", 0},
          {"frames", stats.at("frames")}};
}

void show_model(shm::ControlLayout& layout, const model::ModelInfo& info) {
  layout.daemon.model.store(info.path);
  layout.daemon.model_sha256.store(info.sha256);
}

}  // namespace peaknet::supervisor
