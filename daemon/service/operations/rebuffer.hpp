// Rebuffer: another number of lanes, another largest batch, on all devices between two of their batches. Several may go
// on; each device does them one after the other. A reload that touches the devices is one too.
//
// Threads: the supervisor's. Errors: rebuffer.device-lost; frames of that device went back to Q1.
// After a crash: depth and batch are those of the configuration.
#pragma once

#include <functional>
#include <future>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "control/server.hpp"
#include "daemon/service/engine_room.hpp"
#include "daemon/service/operations/operation.hpp"
#include "daemon/service/pool_keeper.hpp"

namespace peaknet::service {

class Rebuffer final : public Operation {
 public:
  using Done = std::function<void(control::Reply)>;

  // `batch` 0: it stays. `kind`: rebuffer or reload. `done` is called when every device has it. All outlive this.
  Rebuffer(OperationKind kind, PoolKeeper& keeper, EngineRoom& room, std::uint32_t depth, std::uint32_t batch,
           Done done);

  OperationKind kind() const override { return kind_; }
  bool step() override;

  // The same reply as that of the deed, with what is so now.
  static nlohmann::json plan(const shm::DirectoryLayout& layout, std::uint32_t depth_now, std::uint32_t depth,
                             std::uint32_t batch);

 private:
  OperationKind kind_;
  PoolKeeper& keeper_;
  EngineRoom& room_;
  std::vector<std::future<engine::RebufferReceipt>> receipts_;
  Clock::time_point begun_ = Clock::now();
  Done done_;
};

// The largest batch that the devices use now; 0: none is ready.
std::uint32_t batch_now(const shm::DirectoryLayout& layout);

}  // namespace peaknet::service
