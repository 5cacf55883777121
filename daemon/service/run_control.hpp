// RunControl: the states of the daemon and what moves it from one to the next (DESIGN 7).
//
//   starting -> idle -> running -> draining -> idle        any -> failed when no device is left
//
// A stop drains in two phases. First the devices: frames that were committed before the stop (sequence below the mark)
// are inferred, later ones stay in Q1 for the next run. Then the writers: they are told to finish their files, and the
// stop is over when Q2 is empty, no frame is being written and every living writer has said that its files are closed.
// There is no wait without a bound: a missing writer, a lost device and the time-out each end the drain with an error
// that says where how many frames are; those stay in shared memory. Used by the supervisor thread alone.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/server.hpp"
#include "daemon/service/engine_room.hpp"
#include "daemon/service/pool_change.hpp"
#include "daemon/service/pool_keeper.hpp"

namespace peaknet::service {

// May a run begin by request (never asked for one that begins by itself)? The argument: also without a writer.
using StartCheck = std::function<Status(bool no_writer)>;

class RunControl {
 public:
  // The engine of `room` is warming. With `autostart` the first run begins as soon as a device is ready; a run that a
  // former daemon did not end goes on under its id. `progress` wakes the supervisor.
  RunControl(PoolKeeper& keeper, EngineRoom& room, bool autostart, StartCheck may_start, shm::EventCount& progress);

  // Requests of the control socket. Each answer is sent now or when the thing is done.
  void start(const nlohmann::json& params, control::Answer answer);
  void stop(const nlohmann::json& params, control::Answer answer);
  void rebuffer(const nlohmann::json& params, control::Answer answer);
  void load_model(const nlohmann::json& params, control::Answer answer);
  // The part of a reload that concerns the devices; 0: the batch stays. `done` is called now or when every device has
  // it, with the reply of a rebuffer. Errors: reload.busy while another change is under way, and those of a rebuffer.
  using Done = std::function<void(control::Reply)>;
  static Done to(control::Answer answer);  // that answers a request
  void reload(std::uint32_t depth, std::uint32_t batch, Done done);
  Status may_reload() const;

  // The daemon ends: drain as a stop does, no new run after it. A second call gives the drain up.
  void begin_shutdown();
  bool shut_down() const { return shutting_down_ && state() != shm::DaemonState::draining; }

  // Move on whatever can be moved on. Called after every wake-up of the supervisor.
  void step();

  // Our own: what stands in shared memory is for others to read, and others can write there.
  shm::DaemonState state() const { return state_; }

 private:
  struct Drain {
    enum class Phase { devices, writers } phase = Phase::devices;
    std::uint64_t below = 0;       // frames committed before the stop
    std::uint64_t generation = 0;  // what the writers must confirm
    bool writer_seen = false;
    std::size_t held = 0;  // frames of a lost device that does not let go: they are not waited for
    std::optional<std::chrono::steady_clock::time_point> held_since;
    std::chrono::steady_clock::time_point begun, deadline;
    std::optional<std::chrono::steady_clock::time_point> writer_lost;
    std::vector<control::Answer> answers;
  };
  struct Rebuffer {
    std::vector<std::future<engine::RebufferReceipt>> receipts;
    std::chrono::steady_clock::time_point begun;
    Done done;
  };

  struct LateStop {  // that came when the pool had been left already
    nlohmann::json params;
    control::Answer answer;
  };
  struct ModelLoad {
    std::future<Result<model::ModelInfo>> outcome;
    std::chrono::steady_clock::time_point begun;
    control::Answer answer;
  };

  static std::int64_t milliseconds_since(std::chrono::steady_clock::time_point then) {
    const auto span = std::chrono::steady_clock::now() - then;
    return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  }
  engine::Engine& engine() const { return room_.engine(); }
  void set_state(shm::DaemonState state);
  void publish_state();
  void leave_starting();
  void begin_run(const std::string& id);
  std::string fresh_run_id() const;
  void begin_drain(std::chrono::milliseconds at_most);
  void stop_now(control::Answer answer);
  nlohmann::json rebuffer_plan(std::uint32_t depth, std::uint32_t batch) const;
  void change_pool(const nlohmann::json& params, control::Answer answer);
  Status may_change_pool(const shm::Geometry& wanted) const;
  bool pool_change_yields();
  void step_pool_change();
  void step_drain();
  bool held_for_good(Drain& drain, std::size_t ready, std::size_t inferring) const;
  void step_rebuffers();
  void step_model_loads();
  void show_model(const model::ModelInfo& info);
  void end_drain(std::optional<Error> error);
  nlohmann::json run_reply() const;

  PoolKeeper& keeper_;
  shm::DaemonState state_ = shm::DaemonState::absent;
  EngineRoom& room_;
  StartCheck may_start_;
  bool start_wanted_;
  std::string wanted_run_;
  std::vector<control::Answer> start_answers_;
  bool shutting_down_ = false;
  std::optional<Drain> drain_;
  std::vector<Rebuffer> rebuffers_;
  std::vector<ModelLoad> model_loads_;
  shm::EventCount& progress_;
  std::optional<control::Answer> pool_answer_;
  std::unique_ptr<PoolChange> pool_change_;
  std::vector<LateStop> late_stops_;
  bool shutdown_waits_ = false;
};

}  // namespace peaknet::service
