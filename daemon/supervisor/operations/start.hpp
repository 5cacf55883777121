// Start: the daemon waits for its devices to become ready; then a run begins, if somebody wants one.
//
// Threads: the supervisor's. Errors: why no device became ready. After a crash: a run that was not ended goes on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/server.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operation.hpp"
#include "daemon/supervisor/run_request.hpp"
#include "daemon/supervisor/run_state.hpp"

namespace peaknet::supervisor {

class Start final : public Operation {
 public:
  // `autostart`: a run begins as soon as a device is ready. All outlive this.
  Start(PoolManager& pool_manager, EngineHost& room, RunState& run, bool autostart);

  OperationKind kind() const override { return OperationKind::start; }
  bool step() override;

  // A run shall begin; without an id it gets one of its own. Answered when it did.
  void join(const RunRequest& request, control::Answer answer);
  // No run begins by itself.
  void cancel() { wanted_ = false; }
  // The same, whoever asks later.
  void cancel_for_good() { cancelled_ = true; }

 private:
  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  RunState& run_;
  bool wanted_;
  bool cancelled_ = false;
  std::string id_;
  shm::RunFacts facts_;
  std::vector<control::Answer> answers_;
};

}  // namespace peaknet::supervisor
