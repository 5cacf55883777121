#include "daemon/supervisor/operations/start.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"

namespace peaknet::supervisor {

using shm::DaemonState;

Start::Start(PoolManager& pool_manager, EngineHost& room, RunState& run, bool autostart)
    : pool_manager_(pool_manager), engine_host_(room), run_(run), wanted_(autostart), id_(run.unfinished()) {
  if (!id_.empty()) {
    wanted_ = true;
    log::warn("run {} was not ended by the last peaknetd: it continues", id_);
  }
  run_.set(DaemonState::starting);
}

void Start::join(const RunRequest& request, control::Answer answer) {
  wanted_ = true;
  if (!request.id.empty()) id_ = request.id;
  if (request.facts.any()) facts_ = request.facts;
  answers_.push_back(std::move(answer));
}

bool Start::step() {
  engine::Engine& engine = engine_host_.engine();
  if (engine.warming()) return false;
  if (engine.usable() == 0) {
    const Error cause = run_.fail(engine);
    for (auto& answer : answers_) answer.send(cause);
    return true;
  }
  run_.set(DaemonState::idle);
  const auto info = engine.model_info();
  show_model(pool_manager_.layout(), info);
  engine_host_.model_is(info.path);
  if (wanted_ && !cancelled_) run_.begin(id_.empty() ? run_.fresh_id() : id_, facts_, engine);
  for (auto& answer : answers_) answer.send(run_.reply());
  return true;
}

}  // namespace peaknet::supervisor
