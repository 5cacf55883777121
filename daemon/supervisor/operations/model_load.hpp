// ModelLoad: another model, on all devices or on none (Engine::load). Several may be asked for; the engine says which
// it takes.
//
// Threads: the supervisor's. Errors: model.*, device.*; the old model goes on. After a crash: the model is that of the
// configuration.
#pragma once

#include <future>
#include <string>

#include "control/server.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operation.hpp"
#include "daemon/supervisor/pool_manager.hpp"

namespace peaknet::supervisor {

class ModelLoad final : public Operation {
 public:
  // All outlive this.
  ModelLoad(PoolManager& pool_manager, EngineHost& room, const std::string& path, control::Answer answer);

  OperationKind kind() const override { return OperationKind::model_load; }
  bool step() override;

 private:
  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  std::future<Result<model::ModelInfo>> outcome_;
  Clock::time_point begun_ = Clock::now();
  control::Answer answer_;
};

}  // namespace peaknet::supervisor
