#include "daemon/supervisor/supervisor.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/fatal.hpp"
#include "base/log_line.hpp"
#include "control/health.hpp"
#include "daemon/supervisor/calibration.hpp"
#include "daemon/supervisor/engine_plan.hpp"
#include "daemon/supervisor/preflight.hpp"
#include "daemon/supervisor/requests.hpp"
#include "daemon/supervisor/systemd_notify.hpp"
#include "peaknet_version.hpp"
#include "shm/clock.hpp"
#include "shm/models.hpp"

namespace peaknet::supervisor {
namespace {

using shm::DaemonState;

// Frames that came off devices, with a mask or an error.
std::uint64_t frames_done(const shm::ControlLayout& layout) {
  std::uint64_t frames = 0;
  for (const auto& device : layout.devices) frames += device.frames.load() + device.model_errors.load();
  return frames;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// What was wrong from the beginning will be so again; what broke at work may work after a restart, which finds the
// waiting frames.
int failed_exit(const engine::Engine& engine, bool was_ready) {
  const auto failures = engine.failures();
  for (const auto& failure : failures) log::error("{}", failure.text());
  constexpr std::array kWrong = {"device.no-memory", "device.bad-cpus", "device.too-old", "device.no-pinned-memory"};
  const bool config_is_wrong =
      !failures.empty() && (failures.front().id.starts_with("model.") ||
                            std::find(kWrong.begin(), kWrong.end(), failures.front().id) != kWrong.end());
  return config_is_wrong && !was_ready ? kExitConfig : kExitSoftware;
}

}  // namespace

// The pool may be another than the file says: `rebuffer` may have changed it.
Supervisor::Supervisor(const config::Config& config, StopSignal& signals,
                       std::function<Result<config::Config>()> reread)
    : config_(config),
      pool_manager_(config_.configured()),
      mailbox_(progress_),
      engine_host_(make_engine_host()),
      control_(pool_manager_, engine_host_, config_,
               {.may_start =
                    [this](bool no_writer) {
                      return check_start(engine_host_.config(), pool_manager_.writers(), no_writer);
                    },
                .reread = std::move(reread)},
               progress_),
      server_(listen()),
      watchdog_(engine::WorkerLoop::longest_call(worker_options(config_.running()))) {
  watch_.emplace(signals, [this](int signal) { mailbox_.put(SignalCame{signal}); });
  tell_where();
}

EngineHost Supervisor::make_engine_host() {
  config_.pool_is(pool_manager_.pool()->geometry());
  auto calibration = read_calibration(config_.running());
  if (!calibration) throw Fatal(calibration.error(), kExitConfig);
  introduce();
  return EngineHost(
      config_, std::move(calibration->values),
      [this](const auto& info, const auto& golden, const auto& bad) { return enter_model(info, golden, bad); },
      progress_);
}

std::uint64_t Supervisor::enter_model(const model::ModelInfo& info, const std::string& golden,
                                      const std::string& bad_pixels) {
  const std::lock_guard hold(models_);
  std::string rows;
  for (const auto count : info.rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
  return shm::enter_model(layout(),
                          {info.path, info.sha256, info.kind, golden, rows.empty() ? "any" : rows, bad_pixels});
}

std::unique_ptr<control::Server> Supervisor::listen() {
  const auto& config = config_.configured();
  auto server = control::Server::listen(
      {config.control.endpoint, config.control.monitor, config.pool.mode, config.pool.group, config.control.curve_key,
       config.control.curve_clients, [this](const Error& error) { pool_manager_.record_error(error); }},
      make_handler(pool_manager_, mailbox_));
  if (!server) {
    layout().daemon.state.store(DaemonState::absent);
    throw Fatal(server.error(), server.error().id.starts_with("process.") ? kExitSystem : kExitUnavailable);
  }
  return std::move(*server);
}

void Supervisor::introduce() {
  const auto& config = config_.configured();
  auto& daemon = layout().daemon;
  daemon.pid.store(static_cast<std::uint32_t>(::getpid()));
  daemon.started_ns.store(shm::realtime_ns());
  daemon.starts.fetch_add(1);
  daemon.endpoint.store(config.control.endpoint);
  daemon.monitor.store(config.control.monitor);
  daemon.model.store(config.model.path);
  daemon.model_sha256.store("");
  daemon.version.store(kVersion);
  daemon.host.store(host_name());
  daemon.failure.store("");
  daemon.full_since_ns.store(0);
  daemon.file_bytes_per_s.store(0);
  for (auto& device : layout().devices) {
    device.name.store("");
    device.state.store("");
    device.in_flight.store(0);
  }
}

void Supervisor::tell_where() const {
  const auto& config = config_.configured();
  const std::string sockets = config::runtime_folder(config.instance);
  if (const auto why = config::why_no_session_folder();
      !why.empty() && config.control.endpoint.starts_with("ipc://" + sockets + "/"))
    log::warn("{}; the sockets are in {}", why, sockets);
  log::info("peaknetd {} instance '{}' answers on {}", kVersion, config.instance, config.control.endpoint);
  notify_status("warming the model");
}

int Supervisor::run() {
  while (!control_.shut_down() && control_.state() != DaemonState::failed) {
    auto& asked = layout().control_event;
    const std::array armed = {shm::EventCount::Armed{&progress_, progress_.prepare()},
                              shm::EventCount::Armed{&asked, asked.prepare()}};
    for (auto& message : mailbox_.take()) obey(std::move(message), control_);
    engine_host_.engine().look_after();
    control_.step();
    const std::int64_t now = shm::monotonic_ns();
    layout().daemon.heartbeat_ns.store(now);
    if (now >= next_maintenance_) every_tenth(now);
    if (now >= next_second_) every_second(now);
    tell_ready();
    feed_watchdog();
    if (mailbox_.empty() && !control_.shut_down()) shm::EventCount::wait_any(armed);
  }
  return finish();
}

// Of a second: what others left is put in order, and when the pool became full is shown.
void Supervisor::every_tenth(std::int64_t now) {
  pool_manager_.maintain();
  auto& full_since = layout().daemon.full_since_ns;
  if (pool_manager_.used() != pool_manager_.pool()->geometry().slots) {
    full_since.store(0);
  } else if (full_since.load() == 0) {
    full_since.store(now);
  }
  next_maintenance_ = now + 100'000'000;
}

void Supervisor::every_second(std::int64_t now) {
  const auto accounting = shm::read_accounting(pool_manager_.control_segment(), pool_manager_.pool().get());
  rates_.update(layout(), accounting, {shm::monotonic_ns(), shm::realtime_ns()});
  notify_status(std::string(shm::name(control_.state())) + ", run " + layout().run.id.load() + ", " +
                std::to_string(accounting.of_run(shm::Counter::inferred)) + " frames inferred, " +
                std::to_string(accounting.in_flight()) + " in flight, " +
                control::health_line(
                    control::judge(pool_manager_.control_segment(), pool_manager_.pool().get(), true, accounting)));
  if (control_.state() == DaemonState::draining) notify_extend_timeout(std::chrono::seconds(10));
  next_second_ = now + 1'000'000'000;
}

void Supervisor::tell_ready() {
  if (ready_told_ || control_.state() == DaemonState::starting || control_.state() == DaemonState::failed) return;
  notify_ready();
  ready_told_ = true;
}

void Supervisor::feed_watchdog() {
  watchdog_.feed(std::chrono::steady_clock::now(), frames_done(layout()), engine_host_.engine().frames_in_flight(),
                 engine_host_.engine().steps());
}

int Supervisor::finish() {
  notify_extend_timeout(std::chrono::seconds(30));  // devices that hang are waited for, a little
  if (control_.state() != DaemonState::failed) {
    layout().daemon.state.store(DaemonState::absent);
    return 0;
  }
  return failed_exit(engine_host_.engine(), ready_told_);
}

}  // namespace peaknet::supervisor
