#include "daemon/service/run_control.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "control/documents.hpp"
#include "daemon/service/notify.hpp"
#include "shm/clock.hpp"

namespace peaknet::service {
namespace {

using Clock = std::chrono::steady_clock;
using shm::DaemonState;
using shm::SlotState;

constexpr std::chrono::seconds kShutdownDrain{60};  // at SIGTERM; systemd is asked for the time it takes
constexpr double kDefaultStopTimeout = 120.0;

}  // namespace

RunControl::RunControl(PoolKeeper& keeper, EngineRoom& room, bool autostart, StartCheck may_start,
                       shm::EventCount& progress)
    : keeper_(keeper), room_(room), may_start_(std::move(may_start)), start_wanted_(autostart), progress_(progress) {
  const auto& run = keeper_.layout().run;
  if (run.ordinal.load() != 0 && run.ended_ns.load() == 0) {
    wanted_run_ = run.id.load();
    start_wanted_ = true;
    spdlog::warn("run {} was not ended by the last peaknetd: it continues", wanted_run_);
  }
  state_ = keeper_.state_found();
  set_state(DaemonState::starting);
}

void RunControl::set_state(DaemonState state) {
  const DaemonState before = std::exchange(state_, state);
  keeper_.layout().daemon.state_since_ns.store(shm::realtime_ns());
  publish_state();
  if (before != state) spdlog::info("state {} -> {}", shm::name(before), shm::name(state));
}

void RunControl::publish_state() {
  auto& shown = keeper_.layout().daemon.state;
  if (shown.load() != state_) shown.store(state_);
}

void RunControl::step() {
  publish_state();
  if (state() == DaemonState::starting && !engine().warming()) leave_starting();
  const bool at_work = state() == DaemonState::running || (state() == DaemonState::idle && !shutting_down_);
  step_rebuffers();
  step_model_loads();
  if (pool_change_) step_pool_change();
  if (at_work && engine().usable() == 0 && !(pool_change_ && pool_change_->engine_is_new())) {
    engine().shut();
    set_state(DaemonState::failed);
  }
  if (drain_) step_drain();
}

void RunControl::leave_starting() {
  if (engine().usable() == 0) {
    set_state(DaemonState::failed);
    for (auto& answer : start_answers_) answer.send(engine().failures().front());
    start_answers_.clear();
    return;
  }
  set_state(DaemonState::idle);
  show_model(engine().model_info());
  if (start_wanted_ && !shutting_down_) begin_run(wanted_run_.empty() ? fresh_run_id() : wanted_run_);
  start_wanted_ = false;
  for (auto& answer : start_answers_) answer.send(run_reply());
  start_answers_.clear();
}

std::string RunControl::fresh_run_id() const {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  std::string id = text.data();
  const std::string last = keeper_.layout().run.id.load();
  if (last == id || last.starts_with(id + "-")) id += "-" + std::to_string(keeper_.layout().run.ordinal.load() + 1);
  return id;
}

void RunControl::begin_run(const std::string& id) {
  auto& run = keeper_.layout().run;
  const bool goes_on = run.ordinal.load() != 0 && run.ended_ns.load() == 0 && run.id.load() == id;
  if (!goes_on) {
    shm::begin_run_books(keeper_.directory());
    for (auto& stage : keeper_.layout().stages) stage.reset();
    run.id.store(id);
    run.ordinal.fetch_add(1);
    run.started_ns.store(shm::realtime_ns());
    run.ended_ns.store(0);
  }
  keeper_.layout().daemon.failure.store("");
  engine().open(id);
  set_state(DaemonState::running);
  spdlog::info("run {} {}", id, goes_on ? "continues" : "begins");
}

void RunControl::start(const nlohmann::json& params, control::Answer answer) {
  const std::string id = params.value("run", std::string{});
  if (!id.empty() && !is_plain_name(id, 31)) {
    answer.send(Error{"start.bad-run", "'" + id + "' cannot name a run", "nothing was started",
                      "use 1 to 31 letters, digits, '.', '_' or '-'"});
    return;
  }
  switch (state()) {
    case DaemonState::starting:
      start_wanted_ = true;
      if (!id.empty()) wanted_run_ = id;
      start_answers_.push_back(std::move(answer));
      return;
    case DaemonState::idle:
      if (shutting_down_) break;
      if (auto good = may_start_(params.value("no_writer", false)); !good) {
        answer.send(good.error());
        return;
      }
      begin_run(id.empty() ? fresh_run_id() : id);
      answer.send(run_reply());
      return;
    case DaemonState::running: {
      const std::string current = keeper_.layout().run.id.load();
      if (!id.empty() && id == current) {  // the same request once more
        answer.send(run_reply());
        return;
      }
      answer.send(Error{"start.running", "run " + current + " is active", "the run continues",
                        "peaknetctl stop first, then start"});
      return;
    }
    case DaemonState::draining:
    case DaemonState::failed:
    case DaemonState::absent:
      break;
  }
  answer.send(
      Error{"start.not-now",
            std::string("cannot start: the daemon is ") + shm::name(state()) + (shutting_down_ ? " and ending" : ""),
            "nothing was started", "peaknetctl wait --for idle, then start"});
}

void RunControl::stop(const nlohmann::json& params, control::Answer answer) {
  const double seconds = params.value("timeout_s", kDefaultStopTimeout);
  if (!pool_change_yields()) {
    late_stops_.push_back({params, std::move(answer)});
    return;
  }
  if (params.value("now", false) && (drain_ || state() == DaemonState::running)) {
    stop_now(std::move(answer));
    return;
  }
  if (drain_) {  // somebody asked before: both get the one answer
    drain_->answers.push_back(std::move(answer));
    return;
  }
  if (state() == DaemonState::running) {
    begin_drain(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
    drain_->answers.push_back(std::move(answer));
    return;
  }
  start_wanted_ = false;  // a stop while we are still starting: no run begins by itself
  answer.send(run_reply());
}

// No frame is lost or thrown away: what the devices hold comes back to shared memory or is finished, and the writers,
// told to close their files, go on by themselves with results that wait.
void RunControl::stop_now(control::Answer answer) {
  if (drain_ && !drain_->answers.empty()) {
    const Error given_up{"stop.given-up", "somebody asked to stop now, without the rest of the drain",
                         "frames that wait stay in shared memory", "peaknetctl status"};
    for (auto& waiting : std::exchange(drain_->answers, {})) waiting.send(given_up);
  }
  if (!drain_) begin_drain(std::chrono::milliseconds(0));
  engine().shut();
  keeper_.layout().run.close_generation.fetch_add(1);
  keeper_.pool()->header().done_event.notify();
  drain_->answers.push_back(std::move(answer));
  end_drain(std::nullopt);
}

void RunControl::begin_shutdown() {
  if (shutting_down_) {
    if (drain_)
      end_drain(Error{"stop.given-up", "the drain was given up on a second signal",
                      "frames that wait stay in shared memory", ""});
    return;
  }
  if (!std::exchange(shutdown_waits_, true) && !pool_change_yields()) return;  // a second signal does not wait
  shutting_down_ = true;
  shutdown_waits_ = false;
  start_wanted_ = false;
  if (state() == DaemonState::running) begin_drain(kShutdownDrain);
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
  if (pool_change_) {
    answer.send(Error{"rebuffer.busy", "the pool is being changed", "that change continues, nothing else was changed",
                      "wait for its reply"});
    return;
  }
  if (engine().usable() == 0) {
    answer.send(Error{"rebuffer.no-device",
                      std::string("no device is ready (the daemon is ") + shm::name(state()) + ")",
                      "nothing was changed", "peaknetctl wait --for running"});
    return;
  }
  if (other_pool) {
    change_pool(params, std::move(answer));
    return;
  }
  if (params.value("dry_run", false)) {
    answer.send(rebuffer_plan(static_cast<std::uint32_t>(depth), static_cast<std::uint32_t>(batch)));
    return;
  }
  rebuffers_.push_back({engine().rebuffer(static_cast<std::uint32_t>(depth), static_cast<std::uint32_t>(batch)),
                        Clock::now(), to(std::move(answer))});
}

RunControl::Done RunControl::to(control::Answer answer) {
  return [asker = std::make_shared<control::Answer>(std::move(answer))](control::Reply reply) {
    asker->send(std::move(reply));
  };
}

Status RunControl::may_reload() const {
  if (!pool_change_ && rebuffers_.empty() && model_loads_.empty()) return {};
  return Error{"reload.busy",
               std::string("cannot reload now: ") + (pool_change_         ? "the pool is being changed"
                                                     : rebuffers_.empty() ? "a model is being loaded"
                                                                          : "depth or batch are being changed"),
               "that change continues, nothing else was changed", "once more when it has ended"};
}

void RunControl::reload(std::uint32_t depth, std::uint32_t batch, Done done) {
  if (auto may = may_reload(); !may) return done(may.error());
  if (engine().usable() == 0) {
    return done(Error{"rebuffer.no-device",
                      std::string("no device is ready (the daemon is ") + shm::name(state()) + ")",
                      "nothing was changed", "peaknetctl wait --for running"});
  }
  rebuffers_.push_back({engine().rebuffer(depth, batch), Clock::now(), std::move(done)});
}

// A change of the pool ends here, or begins.
void RunControl::change_pool(const nlohmann::json& params, control::Answer answer) {
  shm::Geometry wanted = keeper_.pool()->geometry();
  wanted.slots = params.value("slots", wanted.slots);
  if (params.contains("shape")) {
    const auto shape = params.at("shape").get<std::array<std::uint32_t, 3>>();
    wanted.panels = shape[0];
    wanted.height = shape[1];
    wanted.width = shape[2];
  }
  if (auto may = may_change_pool(wanted); !may) {
    answer.send(may.error());
    return;
  }
  pool_answer_ = std::move(answer);
  pool_change_ = std::make_unique<PoolChange>(
      keeper_, room_,
      PoolChange::Wish{wanted, params.value("depth", 0U), params.value("batch", 0U), params.value("dry_run", false)},
      progress_);
}

Status RunControl::may_change_pool(const shm::Geometry& wanted) const {
  constexpr const char* kUntouched = "nothing was changed, no frame was touched";
  if ((state() != DaemonState::running && state() != DaemonState::idle) || shutting_down_) {
    return Error{"rebuffer.not-now", std::string("cannot change the pool: the daemon is ") + shm::name(state()),
                 kUntouched, "peaknetctl wait --for idle, then rebuffer"};
  }
  if (!rebuffers_.empty() || !model_loads_.empty()) {
    return Error{"rebuffer.busy", "another change is under way", kUntouched, "wait for its reply"};
  }
  if (auto good = PoolChange::check(wanted, room_.config().pool.folder); !good) return good;
  const std::uint32_t frames = keeper_.used() - keeper_.count(SlotState::filling, shm::kMaxSequence);
  if (frames > 0 && state() == DaemonState::idle) {
    return Error{"rebuffer.frames-wait",
                 std::to_string(frames) + " frames wait in the pool, and no run is active that would take them",
                 kUntouched, "peaknetctl start, then rebuffer: it waits for them"};
  }
  if (frames > 0 && keeper_.writers() == 0) {
    return Error{"rebuffer.no-writer", std::to_string(frames) + " frames are in the pool and no writer is attached",
                 kUntouched, "start peaknet-writer, then rebuffer"};
  }
  return {};
}

// Something comes first. True: there is no change, or all is as it was before it.
bool RunControl::pool_change_yields() {
  return !pool_change_ || pool_change_->give_up(Error{"rebuffer.given-up", "somebody asked for the end of the run", "",
                                                      "once more when it has ended"});
}

void RunControl::step_pool_change() {
  const bool on = state() == DaemonState::running;
  auto outcome = pool_change_->step(on ? keeper_.layout().run.id.load() : std::string{});
  if (!outcome) return;
  pool_change_.reset();
  std::exchange(pool_answer_, std::nullopt)->send(std::move(*outcome));
  for (auto& late : std::exchange(late_stops_, {})) stop(late.params, std::move(late.answer));
  if (std::exchange(shutdown_waits_, false)) begin_shutdown();
}

// The same reply as that of the deed, with what is so now.
nlohmann::json RunControl::rebuffer_plan(std::uint32_t depth, std::uint32_t batch) const {
  const auto& devices = keeper_.layout().devices;
  const auto ready =
      std::find_if(devices.begin(), devices.end(), [](const auto& d) { return d.state.load() == "ready"; });
  const std::uint32_t batch_now = ready == devices.end() ? 0 : ready->batch.load();
  std::uint32_t in_flight = 0;
  for (const auto& device : devices) in_flight += device.in_flight.load();
  return {{"before", engine().depth()},
          {"after", depth},
          {"batch_before", batch_now},
          {"batch_after", batch == 0 ? batch_now : batch},
          {"in_flight", in_flight},
          {"lost", 0},
          {"took_ms", 0},
          {"dry_run", true}};
}

void RunControl::step_rebuffers() {
  std::erase_if(rebuffers_, [&](Rebuffer& rebuffer) {
    const bool all = std::all_of(rebuffer.receipts.begin(), rebuffer.receipts.end(), [](const auto& receipt) {
      return receipt.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    });
    if (!all) return false;
    engine::RebufferReceipt sum;
    try {
      for (auto& future : rebuffer.receipts) {
        const auto receipt = future.get();
        sum.before = receipt.before;
        sum.after = receipt.after;
        sum.batch_before = receipt.batch_before;
        sum.batch_after = receipt.batch_after;
        sum.in_flight += receipt.in_flight;
      }
    } catch (const std::future_error&) {
      rebuffer.done(Error{"rebuffer.device-lost", "a device was lost in the middle of the change",
                          "its frames went back to Q1", "see peaknetctl status"});
      return true;
    }
    const auto books = shm::read_books(keeper_.directory(), keeper_.pool().get());
    rebuffer.done(nlohmann::json{{"before", sum.before},
                                 {"after", sum.after},
                                 {"batch_before", sum.batch_before},
                                 {"batch_after", sum.batch_after},
                                 {"in_flight", sum.in_flight},
                                 {"lost", books.settled ? std::max<std::int64_t>(0, books.imbalance()) : 0},
                                 {"took_ms", milliseconds_since(rebuffer.begun)}});
    spdlog::info("depth {} -> {}, batch {} -> {}, with {} frames in flight", sum.before, sum.after, sum.batch_before,
                 sum.batch_after, sum.in_flight);
    return true;
  });
}

void RunControl::show_model(const model::ModelInfo& info) {
  keeper_.layout().daemon.model.store(info.path);
  keeper_.layout().daemon.model_sha256.store(info.sha256);
}

void RunControl::load_model(const nlohmann::json& params, control::Answer answer) {
  if (pool_change_) {
    answer.send(Error{"model.busy", "the pool is being changed", "the model was not changed", "wait for its reply"});
    return;
  }
  if (engine().usable() == 0 || shutting_down_) {
    answer.send(Error{"model.not-now", std::string("cannot load a model: the daemon is ") + shm::name(state()),
                      "the model was not changed", "peaknetctl wait --for idle"});
    return;
  }
  model_loads_.push_back({engine().load(params.at("path").get<std::string>()), Clock::now(), std::move(answer)});
}

void RunControl::step_model_loads() {
  std::erase_if(model_loads_, [&](ModelLoad& load) {
    if (load.outcome.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
    const auto outcome = load.outcome.get();
    if (!outcome) {
      spdlog::error("{}", outcome.error().text());
      load.answer.send(outcome.error());
      return true;
    }
    auto& daemon = keeper_.layout().daemon;
    const nlohmann::json before = {{"path", daemon.model.load()}, {"sha256", daemon.model_sha256.load()}};
    show_model(*outcome);
    load.answer.send(nlohmann::json{{"before", before},
                                    {"after", control::model_document(keeper_.directory())},
                                    {"took_ms", milliseconds_since(load.begun)}});
    spdlog::info("model {} -> {}", before.at("path").get<std::string>(), outcome->path);
    return true;
  });
}

nlohmann::json RunControl::run_reply() const {
  const auto stats = control::stats_document(keeper_.directory(), keeper_.pool().get());
  return {{"run", keeper_.layout().run.id.load()},
          {"state", shm::name(state())},
          {"took_ms", 0},
          {"frames", stats.at("frames")}};
}

}  // namespace peaknet::service
