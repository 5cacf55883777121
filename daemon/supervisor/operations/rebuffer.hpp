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
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operation.hpp"
#include "daemon/supervisor/pool_manager.hpp"

namespace peaknet::supervisor {

class Rebuffer final : public Operation {
 public:
  using Done = std::function<void(control::Reply)>;

  // `batch` 0: it stays. `kind`: rebuffer or reload. `done` is called when every device has it. All outlive this.
  Rebuffer(OperationKind kind, PoolManager& pool_manager, EngineHost& room, std::uint32_t depth, std::uint32_t batch,
           Done done);

  OperationKind kind() const override { return kind_; }
  bool step() override;

  // The same reply as that of the deed, with what is so now.
  static nlohmann::json plan(const shm::ControlLayout& layout, std::uint32_t depth_now, std::uint32_t depth,
                             std::uint32_t batch);

 private:
  OperationKind kind_;
  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  std::vector<std::future<engine::RebufferReceipt>> receipts_;
  Clock::time_point begun_ = Clock::now();
  Done done_;
};

// The largest batch that the devices use now; 0: none is ready.
std::uint32_t batch_now(const shm::ControlLayout& layout);

}  // namespace peaknet::supervisor
