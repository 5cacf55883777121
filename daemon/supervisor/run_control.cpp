#include "daemon/supervisor/run_control.hpp"

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"
#include "daemon/supervisor/operations/drain.hpp"
#include "daemon/supervisor/operations/model_load.hpp"
#include "daemon/supervisor/operations/pool_migration.hpp"
#include "daemon/supervisor/operations/rebuffer.hpp"
#include "daemon/supervisor/operations/start.hpp"
#include "daemon/supervisor/reload.hpp"
#include "daemon/supervisor/run_request.hpp"

namespace peaknet::supervisor {
namespace {

using shm::DaemonState;
using shm::SlotState;

constexpr std::chrono::seconds kShutdownDrain{60};  // at SIGTERM; systemd is asked for the time it takes
constexpr double kDefaultStopTimeout = 120.0;

RunControl::Done to(control::Answer answer) {
  return [asker = std::make_shared<control::Answer>(std::move(answer))](control::Reply reply) {
    asker->send(std::move(reply));
  };
}

}  // namespace

RunControl::RunControl(PoolManager& pool_manager, EngineHost& room, EffectiveConfig& config, Hooks hooks,
                       shm::EventCount& progress)
    : pool_manager_(pool_manager),
      engine_host_(room),
      config_(config),
      hooks_(std::move(hooks)),
      progress_(progress),
      run_(pool_manager) {
  operations_.begin(std::make_unique<Start>(pool_manager_, engine_host_, run_, config_.configured().autostart));
}

void RunControl::step() {
  run_.publish();
  operations_.step({OperationKind::start});
  const bool at_work = state() == DaemonState::running || (state() == DaemonState::idle && !shutting_down_);
  operations_.step(
      {OperationKind::rebuffer, OperationKind::reload, OperationKind::model_load, OperationKind::pool_migration});
  stop_late();
  if (at_work && engine().usable() == 0 && !operations_.engine_is_replaced()) {
    engine().shut();
    run_.fail(engine());
  }
  operations_.step({OperationKind::drain});
}

// --- start, stop and the end ---

void RunControl::start(const nlohmann::json& params, control::Answer answer) {
  const auto request = run_request_of(params);
  if (!request) {
    answer.send(request.error());
    return;
  }
  const auto& [id, facts] = *request;
  if (auto* starting = operations_.find<Start>()) return starting->join(*request, std::move(answer));
  if (state() == DaemonState::idle && !shutting_down_) {
    if (auto good = hooks_.may_start(params.value("no_writer", false)); !good) {
      answer.send(good.error());
      return;
    }
    run_.begin(id.empty() ? run_.fresh_id() : id, facts, engine());
    answer.send(run_.reply());
    return;
  }
  if (const std::string current = run_.running(); !current.empty()) {
    if (id == current && (!facts.any() || facts == run_.facts())) {  // the same request once more
      answer.send(run_.reply());
      return;
    }
    answer.send(Error{"start.running", "run " + current + " is active", "the run continues",
                      "peaknetctl stop first, then start"});
    return;
  }
  answer.send(
      Error{"start.not-now",
            std::string("cannot start: the daemon is ") + shm::name(state()) + (shutting_down_ ? " and ending" : ""),
            "nothing was started", "peaknetctl wait --for idle, then start"});
}

void RunControl::stop(const nlohmann::json& params, control::Answer answer) {
  if (!others_make_way()) {
    late_stops_.push_back({params, std::move(answer)});
    return;
  }
  auto* drain = operations_.find<Drain>();
  if (drain == nullptr && state() != DaemonState::running) {
    if (auto* starting = operations_.find<Start>()) starting->cancel();
    answer.send(run_.reply());
    return;
  }
  const bool now = params.value("now", false);
  if (drain == nullptr) {
    const double seconds = now ? 0 : params.value("timeout_s", kDefaultStopTimeout);
    drain = &begin_drain(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
  }
  if (!now) return drain->join(std::move(answer));
  drain->end_now(std::move(answer), {"stop.given-up", "somebody asked to stop now, without the rest of the drain",
                                     "frames that wait stay in shared memory", "peaknetctl status"});
  operations_.forget(*drain);
}

void RunControl::begin_shutdown() {
  if (shutting_down_) {
    if (auto* drain = operations_.find<Drain>()) {
      drain->give_up(
          {"stop.given-up", "the drain was given up on a second signal", "frames that wait stay in shared memory", ""});
      operations_.forget(*drain);
    }
    return;
  }
  if (!std::exchange(shutdown_waits_, true) && !others_make_way()) return;  // a second signal does not wait
  shutting_down_ = true;
  shutdown_waits_ = false;
  if (auto* starting = operations_.find<Start>()) starting->cancel_for_good();
  if (state() == DaemonState::running) begin_drain(kShutdownDrain);
}

Drain& RunControl::begin_drain(std::chrono::milliseconds at_most) {
  auto drain = std::make_unique<Drain>(pool_manager_, engine_host_, run_, at_most);
  Drain& begun = *drain;
  operations_.begin(std::move(drain));
  return begun;
}

// For the end of the run.
bool RunControl::others_make_way() {
  return operations_.make_way_for(
      OperationKind::drain,
      Error{"rebuffer.given-up", "somebody asked for the end of the run", "", "once more when it has ended"});
}

// Stops that came when it was too late to make way for them.
void RunControl::stop_late() {
  if (operations_.going_on(OperationKind::pool_migration)) return;
  for (auto& late : std::exchange(late_stops_, {})) stop(late.params, std::move(late.answer));
  if (std::exchange(shutdown_waits_, false)) begin_shutdown();
}

// --- rebuffer and reload ---

Error RunControl::no_device() const {
  return {"rebuffer.no-device", std::string("no device is ready (the daemon is ") + shm::name(state()) + ")",
          "nothing was changed", "peaknetctl wait --for running"};
}

void RunControl::rebuffer(const nlohmann::json& params, control::Answer answer) {
  const bool other_pool = params.contains("slots") || params.contains("shape");
  if (!other_pool && !params.contains("depth") && !params.contains("batch")) {
    answer.send(Error{"rebuffer.nothing", "nothing to change: give --depth, --batch, --slots or --shape",
                      "nothing was changed", "depth, batch, slots or shape"});
    return;
  }
  const auto depth = params.value("depth", std::int64_t{engine().depth()});
  if (depth < 1 || depth > engine::kMaxDepth) {
    answer.send(Error{"rebuffer.bad-depth", "a depth of " + std::to_string(depth) + " is not possible",
                      "the depth stays " + std::to_string(engine().depth()),
                      "a depth of 1 to " + std::to_string(engine::kMaxDepth)});
    return;
  }
  const auto batch = params.value("batch", std::int64_t{0});
  if (batch < 0 || batch > engine().largest_batch()) {
    answer.send(Error{"rebuffer.bad-batch", "a largest batch of " + std::to_string(batch) + " is not possible",
                      "nothing was changed",
                      "1 to " + std::to_string(engine().largest_batch()) + ", what engine.batch reserved memory for"});
    return;
  }
  if (const auto busy = operations_.busy_with(other_pool ? OperationKind::pool_migration : OperationKind::rebuffer)) {
    answer.send(Error{"rebuffer.busy", describe(*busy), "that change continues, nothing else was changed",
                      "wait for its reply"});
    return;
  }
  if (engine().usable() == 0) return answer.send(no_device());
  if (other_pool) return change_pool(params, std::move(answer));
  const auto wanted_depth = static_cast<std::uint32_t>(depth);
  const auto wanted_batch = static_cast<std::uint32_t>(batch);
  if (params.value("dry_run", false))
    return answer.send(Rebuffer::plan(pool_manager_.layout(), engine().depth(), wanted_depth, wanted_batch));
  change_devices(wanted_depth, wanted_batch, OperationKind::rebuffer, to(std::move(answer)));
}

// Precondition: a device is usable.
void RunControl::change_devices(std::uint32_t depth, std::uint32_t batch, OperationKind kind, Done done) {
  operations_.begin(std::make_unique<Rebuffer>(kind, pool_manager_, engine_host_, depth, batch, std::move(done)));
}

void RunControl::reload(const nlohmann::json& /*params*/, control::Answer answer) { reload(to(std::move(answer))); }

void RunControl::show_config(const nlohmann::json& /*params*/, control::Answer answer) {
  answer.send(nlohmann::json{{"yaml", config::to_yaml(config_.running())}});
}

void RunControl::reload(Done done) {
  if (const auto busy = operations_.busy_with(OperationKind::reload)) {
    return done(Error{"reload.busy", std::string("cannot reload now: ") + describe(*busy),
                      "that change continues, nothing else was changed", "once more when it has ended"});
  }
  auto fresh = hooks_.reread();
  if (!fresh) return done(fresh.error());
  const auto& configured = config_.configured();
  auto changes = plan_reload(configured, *fresh, config_.reserved_batch());
  // What the file did not change stays as `rebuffer` left it.
  const bool new_batch =
      fresh->engine.batch != configured.engine.batch && fresh->engine.batch <= config_.reserved_batch();
  const std::uint32_t depth = fresh->engine.depth != configured.engine.depth ? fresh->engine.depth : engine().depth();
  const std::uint32_t batch = new_batch ? fresh->engine.batch : 0;
  auto finish = [this, changes = std::move(changes), fresh = *fresh, new_batch,
                 done = std::move(done)](const control::Reply& rebuffered) {
    if (!rebuffered) return done(rebuffered.error());
    if (fresh.log.level != config_.configured().log.level) log::set_level(fresh.log.level);
    log_changes(changes);
    config_.adopt(fresh, new_batch);
    done(reload_reply(changes));
  };
  if (depth == engine().depth() && !new_batch) return finish(nlohmann::json());
  if (engine().usable() == 0) return finish(no_device());
  change_devices(depth, batch, OperationKind::reload, std::move(finish));
}

void RunControl::change_pool(const nlohmann::json& params, control::Answer answer) {
  shm::Geometry wanted = pool_manager_.pool()->geometry();
  wanted.slots = params.value("slots", wanted.slots);
  if (params.contains("shape")) {
    const auto shape = params.at("shape").get<std::array<std::uint32_t, 3>>();
    wanted.panels = shape[0];
    wanted.height = shape[1];
    wanted.width = shape[2];
  }
  if (auto may = may_change_pool(wanted); !may) return answer.send(may.error());
  operations_.begin(std::make_unique<PoolMigration>(
      pool_manager_, engine_host_, run_,
      PoolMigration::Wish{wanted, params.value("depth", 0U), params.value("batch", 0U), params.value("dry_run", false)},
      progress_, std::move(answer)));
}

Status RunControl::may_change_pool(const shm::Geometry& wanted) const {
  constexpr const char* kUntouched = "nothing was changed, no frame was touched";
  if ((state() != DaemonState::running && state() != DaemonState::idle) || shutting_down_) {
    return Error{"rebuffer.not-now", std::string("cannot change the pool: the daemon is ") + shm::name(state()),
                 kUntouched, "peaknetctl wait --for idle, then rebuffer"};
  }
  if (auto good = PoolMigration::check(wanted, engine_host_.config().pool.folder); !good) return good;
  const std::uint32_t frames = pool_manager_.used() - pool_manager_.count(SlotState::filling, shm::kMaxSequence);
  if (frames > 0 && state() == DaemonState::idle) {
    return Error{"rebuffer.frames-wait",
                 std::to_string(frames) + " frames wait in the pool, and no run is active that would take them",
                 kUntouched, "peaknetctl start, then rebuffer: it waits for them"};
  }
  if (frames > 0 && pool_manager_.writers() == 0) {
    return Error{"rebuffer.no-writer", std::to_string(frames) + " frames are in the pool and no writer is attached",
                 kUntouched, "start peaknet-writer, then rebuffer"};
  }
  return {};
}

void RunControl::load_model(const nlohmann::json& params, control::Answer answer) {
  if (const auto busy = operations_.busy_with(OperationKind::model_load)) {
    answer.send(Error{"model.busy", describe(*busy), "the model was not changed", "wait for its reply"});
    return;
  }
  if (engine().usable() == 0 || shutting_down_) {
    answer.send(Error{"model.not-now", std::string("cannot load a model: the daemon is ") + shm::name(state()),
                      "the model was not changed", "peaknetctl wait --for idle"});
    return;
  }
  operations_.begin(std::make_unique<ModelLoad>(pool_manager_, engine_host_, params.at("path").get<std::string>(),
                                                std::move(answer)));
}

}  // namespace peaknet::supervisor
