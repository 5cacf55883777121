// ModelLoad: another model, on all devices or on none (Engine::load). Several may be asked for; the engine says which
// it takes.
//
// Threads: the supervisor's. Errors: model.*, device.*; the old model goes on. After a crash: the model is that of the
// configuration.
#pragma once

#include <future>
#include <string>

#include "control/server.hpp"
#include "daemon/service/engine_room.hpp"
#include "daemon/service/operations/operation.hpp"
#include "daemon/service/pool_keeper.hpp"

namespace peaknet::service {

class ModelLoad final : public Operation {
 public:
  // All outlive this.
  ModelLoad(PoolKeeper& keeper, EngineRoom& room, const std::string& path, control::Answer answer);

  OperationKind kind() const override { return OperationKind::model_load; }
  bool step() override;

 private:
  PoolKeeper& keeper_;
  EngineRoom& room_;
  std::future<Result<model::ModelInfo>> outcome_;
  Clock::time_point begun_ = Clock::now();
  control::Answer answer_;
};

}  // namespace peaknet::service
