// PoolMigration: another pool of frames, of other slots or another shape, while programs are attached and a run goes
// on.
//
//   preparing   the model is tried on the shape, the new pool is made; nobody notices. All refusals come from here.
//   draining    the old pool is closed: producers wait; its frames are inferred and written as ever, and no other way
//   warming     the old pool is empty: the new one is named, and an engine for it warms up; producers still wait
//   over        the new pool is open; programs moved over by themselves
//   returning   the new engine did not become ready: the old pool is named again, with an engine as before
//
// No wait is without a bound.
//
// Threads: the supervisor's, and one of its own that prepares. Errors: rebuffer.*, pool.*, device.*, model.*; no frame
// was touched. After a crash: the next daemon goes on with the pool that is named then (PoolManager).
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "control/server.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operation.hpp"
#include "daemon/supervisor/pool_manager.hpp"
#include "daemon/supervisor/run_state.hpp"

namespace peaknet::supervisor {

class PoolMigration final : public Operation {
 public:
  struct Wish {
    shm::Geometry geometry;
    std::uint32_t depth = 0, batch = 0;  // of the engine afterwards
    bool dry_run = false;                // up to the end of `preparing`, without making a pool
  };

  // Is there room, and no nonsense in the wish? Errors: rebuffer.bad-pool, rebuffer.no-space (with the largest number
  // of slots that fits), pool.over-limit.
  static Status check(const shm::Geometry& wanted, const std::string& folder);

  // `progress` is notified when a step may get further. All outlive this.
  PoolMigration(PoolManager& pool_manager, EngineHost& room, const RunState& run, const Wish& wish,
                shm::EventCount& progress, control::Answer answer);
  // A migration that is not over is given up; what is being prepared ends soon.
  ~PoolMigration() override;

  OperationKind kind() const override { return OperationKind::pool_migration; }
  bool step() override;
  // False: the old pool is left already.
  bool make_way(const Error& why) override;
  bool replaces_engine() const override { return phase_ == Phase::warming || phase_ == Phase::returning; }

 private:
  enum class Phase { preparing, draining, warming, returning };
  struct Prepared {
    EngineHost::Calibration calibration;
    std::shared_ptr<shm::Pool> pool;
  };
  using Outcome = std::optional<Result<nlohmann::json>>;

  Result<Prepared> prepare(const config::Config& config, std::uint64_t epoch, const std::stop_token& stop) const;
  // The answer when it is over: that of `rebuffer`, or why it did not come to be.
  Outcome move_on();
  Outcome begin_draining();
  Outcome drain();
  Outcome warm();
  Outcome settle_return();
  Error left_as_it_was(Error why);
  nlohmann::json reply() const;
  void set_engine();

  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  const RunState& run_;
  Wish wish_;
  Phase phase_ = Phase::preparing;
  Clock::time_point begun_, deadline_{};
  std::uint64_t epoch_before_;
  shm::Geometry before_;
  config::Config config_before_;
  EngineHost::Calibration calibration_before_;
  std::uint32_t depth_before_, batch_before_;
  std::uint64_t free_before_ = 0;
  std::uint32_t in_flight_ = 0;
  std::optional<Error> given_up_;
  EngineHost::Calibration calibration_;  // for the new shape
  std::shared_ptr<shm::Pool> next_;      // made, and not ours to keep yet
  std::future<Result<Prepared>> prepared_;
  control::Answer answer_;
  std::jthread preparer_;
};

}  // namespace peaknet::supervisor
