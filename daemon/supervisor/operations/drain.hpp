// Drain: how a run ends, in two phases. First the devices: frames that were committed before the stop (sequence below
// the mark) are inferred, later ones stay in Q1 for the next run. Then the writers: they are told to finish their
// files, and the drain is over when Q2 is empty, no frame is being written and every living writer has said that its
// files are closed.
//
// No wait is without a bound: a missing writer, a lost device and the time-out each end the drain with an error that
// says where how many frames are; those stay in shared memory.
//
// Threads: the supervisor's. Errors: stop.*, for everybody who asked. After a crash: the run was not ended, and goes
// on with the next daemon.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "control/server.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/operations/operation.hpp"
#include "daemon/supervisor/run_state.hpp"

namespace peaknet::supervisor {

class Drain final : public Operation {
 public:
  // Begins: the state is `draining`, the devices take nothing that is committed later. All outlive this.
  Drain(PoolManager& pool_manager, EngineHost& room, RunState& run, std::chrono::milliseconds at_most);

  OperationKind kind() const override { return OperationKind::drain; }
  bool step() override;

  // Somebody else asks for the same: both get the one answer.
  void join(control::Answer answer) { answers_.push_back(std::move(answer)); }
  // The rest of the drain is given up, because of `why`; those who waited are told. Afterwards it is over.
  void give_up(const Error& why) { end(why); }
  // The same, for somebody who does not want the rest: he is answered as if all were done, those who waited before get
  // `why`. No frame is lost or thrown away: what the devices hold comes back to shared memory or is finished, and the
  // writers, told to close their files, go on by themselves with results that wait.
  void end_now(control::Answer asker, const Error& why);

 private:
  enum class Phase { devices, writers };
  bool devices_are_done();
  bool writers_are_done();
  std::uint64_t tell_writers();
  bool held_for_good(std::size_t ready, std::size_t inferring);
  bool late() const { return Clock::now() >= deadline_; }
  void end(std::optional<Error> error);

  PoolManager& pool_manager_;
  EngineHost& engine_host_;
  RunState& run_;
  Phase phase_ = Phase::devices;
  std::uint64_t below_;           // frames committed before the stop
  std::uint64_t generation_ = 0;  // what the writers must confirm
  bool writer_seen_;
  std::size_t held_ = 0;  // frames of a lost device that does not let go: they are not waited for
  std::optional<Clock::time_point> held_since_;
  Clock::time_point begun_, deadline_;
  std::optional<Clock::time_point> writer_lost_;
  std::vector<control::Answer> answers_;
  bool over_ = false;
};

}  // namespace peaknet::supervisor
