#include "daemon/service/run_state.hpp"

#include <spdlog/spdlog.h>

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/documents.hpp"
#include "shm/books.hpp"
#include "shm/clock.hpp"

namespace peaknet::service {

using shm::DaemonState;

void RunState::set(DaemonState state) {
  const DaemonState before = std::exchange(state_, state);
  keeper_.layout().daemon.state_since_ns.store(shm::realtime_ns());
  publish();
  if (before != state) spdlog::info("state {} -> {}", shm::name(before), shm::name(state));
}

void RunState::publish() {
  auto& shown = keeper_.layout().daemon.state;
  if (shown.load() != state_) shown.store(state_);
}

std::string RunState::unfinished() const {
  const auto& run = keeper_.layout().run;
  return run.ordinal.load() != 0 && run.ended_ns.load() == 0 ? run.id.load() : std::string{};
}

std::string RunState::running() const {
  return state_ == DaemonState::running ? keeper_.layout().run.id.load() : std::string{};
}

std::string RunState::fresh_id() const {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  std::string id = text.data();
  const std::string last = keeper_.layout().run.id.load();
  if (last == id || last.starts_with(id + "-")) id += "-" + std::to_string(keeper_.layout().run.ordinal.load() + 1);
  return id;
}

void RunState::begin(const std::string& id, engine::Engine& engine) {
  auto& run = keeper_.layout().run;
  const bool goes_on = run.ordinal.load() != 0 && run.ended_ns.load() == 0 && run.id.load() == id;
  if (!goes_on) {
    shm::begin_run_books(keeper_.directory());
    for (auto& stage : keeper_.layout().stages) stage.reset();
    run.id.store(id);
    run.ordinal.fetch_add(1);
    run.started_ns.store(shm::realtime_ns());
    run.ended_ns.store(0);
  }
  keeper_.layout().daemon.failure.store("");
  engine.open(id);
  set(DaemonState::running);
  spdlog::info("run {} {}", id, goes_on ? "continues" : "begins");
}

void RunState::end(const Error* failure, std::int64_t took_ms) {
  auto& layout = keeper_.layout();
  layout.run.ended_ns.store(shm::realtime_ns());
  set(DaemonState::idle);
  if (failure != nullptr) {
    Error told = *failure;
    told.what = "run " + layout.run.id.load() + " ended: " + told.what;
    keeper_.note(told);
    layout.daemon.failure.store(failure->text());
  } else {
    spdlog::info("run {} ended after a drain of {} ms", layout.run.id.load(), took_ms);
  }
}

nlohmann::json RunState::reply() const {
  const auto stats = control::stats_document(keeper_.directory(), keeper_.pool().get());
  return {{"run", keeper_.layout().run.id.load()},
          {"state", shm::name(state_)},
          {"took_ms", 0},
          {"frames", stats.at("frames")}};
}

void show_model(shm::DirectoryLayout& layout, const model::ModelInfo& info) {
  layout.daemon.model.store(info.path);
  layout.daemon.model_sha256.store(info.sha256);
}

}  // namespace peaknet::service
