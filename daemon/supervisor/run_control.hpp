// RunControl: the states of the daemon, and what requests and signals begin in each (docs/design.md, 7).
//
//   starting -> idle -> running -> draining -> idle        any -> failed when no device is left
//
// Whatever takes time is an Operation; which may go on beside which is said by the table in operations/exclusion.hpp.
//
// Threads: the supervisor's. Errors: each request gets exactly one answer, now or when the thing is done.
// After a crash: a run that was not ended goes on; operations are described by themselves.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "control/server.hpp"
#include "daemon/supervisor/effective_config.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operations.hpp"
#include "daemon/supervisor/pool_manager.hpp"
#include "daemon/supervisor/run_state.hpp"

namespace peaknet::supervisor {

class Drain;

class RunControl {
 public:
  struct Hooks {
    // May a run begin by request (never asked for one that begins by itself)? The argument: also without a writer.
    std::function<Status(bool no_writer)> may_start;
    // The configuration as the file has it now.
    std::function<Result<config::Config>()> reread;
  };

  // The engine of `room` is warming. A run that a former daemon did not end goes on under its id; where the
  // configuration wants autostart, one begins as soon as a device is ready. `progress` wakes the supervisor. All
  // outlive this.
  RunControl(PoolManager& pool_manager, EngineHost& room, EffectiveConfig& config, Hooks hooks,
             shm::EventCount& progress);

  // --- requests; `params` are good by control/methods.hpp ---

  void start(const nlohmann::json& params, control::Answer answer);
  void stop(const nlohmann::json& params, control::Answer answer);
  void rebuffer(const nlohmann::json& params, control::Answer answer);
  void load_model(const nlohmann::json& params, control::Answer answer);
  void reload(const nlohmann::json& params, control::Answer answer);
  void show_config(const nlohmann::json& params, control::Answer answer);

  // --- signals ---

  // The daemon ends: drain as a stop does, no new run after it. A second call gives the drain up.
  void begin_shutdown();
  bool shut_down() const { return shutting_down_ && state() != shm::DaemonState::draining; }
  // The file is read again: what may change while frames flow changes, the rest is named. Errors: reload.busy while
  // another change is under way, those of a rebuffer, and those of the file; nothing has changed then.
  using Done = std::function<void(control::Reply)>;
  void reload(Done done);

  // Move on whatever can be moved on. Called after every wake-up of the supervisor.
  void step();

  shm::DaemonState state() const { return run_.state(); }

 private:
  struct LateStop {  // that came when something could not make way any more
    nlohmann::json params;
    control::Answer answer;
  };

  engine::Engine& engine() const { return engine_host_.engine(); }
  Drain& begin_drain(std::chrono::milliseconds at_most);
  bool others_make_way();
  void stop_late();
  Status may_change_pool(const shm::Geometry& wanted) const;
  void change_pool(const nlohmann::json& params, control::Answer answer);
  void change_devices(std::uint32_t depth, std::uint32_t batch, OperationKind kind, Done done);
  Error no_device() const;

  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  EffectiveConfig& config_;
  Hooks hooks_;
  shm::EventCount& progress_;
  RunState run_;
  Operations operations_;
  bool shutting_down_ = false;
  std::vector<LateStop> late_stops_;
  bool shutdown_waits_ = false;
};

}  // namespace peaknet::supervisor
