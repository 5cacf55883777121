// RunState: the state of the daemon and the run that goes on, as the control segment shows them.
//
// Threads: the supervisor's. Errors: none. After a crash: a run that was not ended goes on under its id (unfinished()).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/engine/engine.hpp"
#include "daemon/supervisor/pool_manager.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::supervisor {

class RunState {
 public:
  explicit RunState(PoolManager& pool_manager) : pool_manager_(pool_manager), state_(pool_manager.state_found()) {}

  // Our own: what stands in shared memory is for others to read, and others can write there.
  shm::DaemonState state() const { return state_; }
  void set(shm::DaemonState state);
  // No device can be used: the state is `failed`, and whoever sees it finds the cause beside it. Returns that cause.
  Error fail(const engine::Engine& engine);
  // Others can write there: it says again what is so.
  void publish();

  // The run that a former daemon did not end; "": none.
  std::string unfinished() const;
  // The id of the run that takes frames now; "": none does.
  std::string running() const;
  std::string fresh_id() const;
  // What was said of the run that is or was last.
  shm::RunFacts facts() const;
  // The engine takes frames for this run from now on; it goes on if it was not ended, else its counters begin. A run
  // that goes on keeps what was said of it where `facts` say nothing.
  void begin(const std::string& id, const shm::RunFacts& facts, engine::Engine& engine);
  // It is over, `failure` says why it ended before its time, if it did.
  void end(const Error* failure, std::int64_t took_ms);
  // The reply of start and stop.
  nlohmann::json reply() const;

 private:
  PoolManager& pool_manager_;
  shm::DaemonState state_;
};

// Which model makes the results now.
void show_model(shm::ControlLayout& layout, const model::ModelInfo& info);

}  // namespace peaknet::supervisor
