#include "daemon/service/service.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/fatal.hpp"
#include "base/process_limits.hpp"
#include "base/processors.hpp"
#include "base/signal_watch.hpp"
#include "base/text.hpp"
#include "control/documents.hpp"
#include "control/health.hpp"
#include "daemon/model/model_path.hpp"
#include "daemon/service/calibration.hpp"
#include "daemon/service/devices.hpp"
#include "daemon/service/engine_room.hpp"
#include "daemon/service/mailbox.hpp"
#include "daemon/service/notify.hpp"
#include "daemon/service/pool_keeper.hpp"
#include "daemon/service/progress.hpp"
#include "daemon/service/reload.hpp"
#include "daemon/service/run_control.hpp"
#include "daemon/service/start_check.hpp"
#include "peaknet_version.hpp"
#include "shm/clock.hpp"
#include "shm/models.hpp"

namespace peaknet::service {
namespace {

using shm::DaemonState;

// Frames per second over the last second or so, and bytes over the last minute, for the counters segment.
class Rates {
 public:
  static constexpr double kSmoothedSeconds = 60;
  void update(shm::DirectoryLayout& layout, const shm::Books& books) {
    const std::int64_t now = shm::monotonic_ns();
    const std::array<std::uint64_t, 4> counts = {
        books.total(shm::Counter::committed), books.total(shm::Counter::inferred), books.total(shm::Counter::written),
        books.total(shm::Counter::filtered)};
    const std::uint64_t bytes = books.total(shm::Counter::file_bytes);
    if (last_ns_ != 0) {
      const double seconds = static_cast<double>(now - last_ns_) / 1e9;
      const auto rate = [&](std::size_t i) { return static_cast<double>(counts[i] - last_[i]) / seconds; };
      layout.daemon.committed_per_s.store(rate(0));
      layout.daemon.inferred_per_s.store(rate(1));
      layout.daemon.written_per_s.store(rate(2));
      layout.daemon.filtered_per_s.store(rate(3));
      // A file counts when it is finished, all at once, so the last second alone says nothing.
      const double now_bytes = static_cast<double>(bytes - last_bytes_) / seconds;
      bytes_per_s_ += (now_bytes - bytes_per_s_) * -std::expm1(-seconds / kSmoothedSeconds);
      layout.daemon.file_bytes_per_s.store(bytes_per_s_);
    }
    last_bytes_ = bytes;
    last_ns_ = now;
    last_ = counts;
  }

 private:
  std::int64_t last_ns_ = 0;
  std::array<std::uint64_t, 4> last_{};
  std::uint64_t last_bytes_ = 0;
  double bytes_per_s_ = 0;
};

// When the pool became full, for the counters segment.
void watch_pool(shm::DirectoryLayout& layout, const PoolKeeper& keeper, std::int64_t now) {
  const bool full = keeper.used() == keeper.pool()->geometry().slots;
  if (!full) {
    layout.daemon.full_since_ns.store(0);
  } else if (layout.daemon.full_since_ns.load() == 0) {
    layout.daemon.full_since_ns.store(now);
  }
}

// Frames that came off devices, with a mask or an error.
std::uint64_t frames_done(const shm::DirectoryLayout& layout) {
  std::uint64_t frames = 0;
  for (const auto& device : layout.devices) frames += device.frames.load() + device.model_errors.load();
  return frames;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

void introduce(shm::DirectoryLayout& layout, const config::Config& config) {
  auto& daemon = layout.daemon;
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
  for (auto& device : layout.devices) {
    device.name.store("");
    device.state.store("");
    device.in_flight.store(0);
  }
}

// Requests that only read are answered on the server's thread, from the counters page; the others go to the supervisor.
control::Handler make_handler(const PoolKeeper& keeper, Mailbox& mailbox) {
  return [directory = keeper.shared_directory(), &keeper, &mailbox](control::Request request, control::Answer answer) {
    if (request.method == "stats") {
      answer.send(control::stats_document(*directory, keeper.pool().get()));
    } else if (request.method == "status") {
      answer.send(control::status_document(*directory, keeper.pool().get()));
    } else if (request.method == "version") {
      answer.send(nlohmann::json{{"version", kVersion},
                                 {"commit", kGitCommit},
                                 {"build", kBuildType},
                                 {"torch", kTorchVersion},
                                 {"cuda", kCudaVersion}});
    } else {
      spdlog::info("{} {} asked by {}", request.method, request.params.dump(), request.peer);
      mailbox.put(Command{std::move(request), std::move(answer)});
    }
  };
}

// The file is read again: what may change while frames flow changes, the rest is named. A reload is done when every
// device has its new depth, and passes the same gate as any other change.
class Reloader {
 public:
  Reloader(config::Config config, const std::function<Result<config::Config>()>& reread, EngineRoom& room,
           RunControl& control)
      : config_(std::move(config)),
        reserved_batch_(config_.engine.batch),
        reread_(reread),
        room_(room),
        control_(control) {}

  void reload(RunControl::Done done) {
    if (auto may = control_.may_reload(); !may) return done(may.error());
    auto fresh = reread_();
    if (!fresh) return done(fresh.error());
    auto changes = plan_reload(config_, *fresh, reserved_batch_);
    // What the file did not change stays as `rebuffer` left it.
    const bool new_batch = fresh->engine.batch != config_.engine.batch && fresh->engine.batch <= reserved_batch_;
    const engine::Engine& engine = room_.engine();
    const std::uint32_t depth = fresh->engine.depth != config_.engine.depth ? fresh->engine.depth : engine.depth();
    auto finish = [this, changes = std::move(changes), fresh = *fresh, new_batch, done](control::Reply rebuffered) {
      if (!rebuffered) return done(rebuffered.error());
      adopt(fresh, new_batch, changes);
      done(reload_reply(changes));
    };
    if (depth == engine.depth() && !new_batch) return finish(nlohmann::json());
    control_.reload(depth, new_batch ? fresh->engine.batch : 0, std::move(finish));
  }

 private:
  void adopt(const config::Config& fresh, bool new_batch, const std::vector<KeyChange>& changes) {
    for (const auto& change : changes) {
      spdlog::info("reload: {} {} -> {}{}", change.key, change.before, change.after,
                   change.restart.empty() ? "" : ", when " + change.restart + " is started again");
    }
    if (fresh.log.level != config_.log.level)
      spdlog::set_level(spdlog::level::from_str(fresh.log.level == "error" ? "err" : fresh.log.level));
    config_.log.level = fresh.log.level;
    config_.engine.depth = fresh.engine.depth;
    if (new_batch) config_.engine.batch = fresh.engine.batch;
  }

  config::Config config_;
  std::uint32_t reserved_batch_;
  std::function<Result<config::Config>()> reread_;
  EngineRoom& room_;
  RunControl& control_;
};

void reload_by_signal(Reloader& reloader) {
  spdlog::info("signal {}: reading the configuration again", SIGHUP);
  reloader.reload([](control::Reply reply) {
    if (!reply) {
      spdlog::error("{}", reply.error().text());
    } else if (reply->at("changed").empty() && reply->at("restart").empty()) {
      spdlog::info("reload: nothing has changed");
    }
  });
}

void obey(Message& message, RunControl& control, Reloader& reloader) {
  if (auto* signal = std::get_if<SignalCame>(&message)) {
    if (signal->number == SIGHUP) return reload_by_signal(reloader);
    spdlog::info("signal {}: ending", signal->number);
    notify_stopping();
    control.begin_shutdown();
    return;
  }
  auto& [request, answer] = std::get<Command>(message);
  if (request.method == "start") {
    control.start(request.params, std::move(answer));
  } else if (request.method == "stop") {
    control.stop(request.params, std::move(answer));
  } else if (request.method == "rebuffer") {
    control.rebuffer(request.params, std::move(answer));
  } else if (request.method == "reload") {
    reloader.reload(RunControl::to(std::move(answer)));
  } else if (request.method == "model.load") {
    control.load_model(request.params, std::move(answer));
  } else {
    answer.send(Error{"control.unknown-method", "peaknetd does not know '" + request.method + "'",
                      "nothing was changed", "peaknetctl --help"});
  }
}

// What was wrong from the beginning will be so again; what broke at work may work after a restart, which finds the
// waiting frames.
int failed_exit(const engine::Engine& engine, bool was_ready) {
  const auto failures = engine.failures();
  for (const auto& failure : failures) spdlog::error("{}", failure.text());
  constexpr std::array kWrong = {"device.no-memory", "device.bad-cpus", "device.too-old", "device.no-pinned-memory"};
  const bool config_is_wrong =
      !failures.empty() && (failures.front().id.starts_with("model.") ||
                            std::find(kWrong.begin(), kWrong.end(), failures.front().id) != kWrong.end());
  return config_is_wrong && !was_ready ? kExitConfig : kExitSoftware;
}

// Of libzmq, of ours, and of the team that LibTorch makes for a network.
unsigned threads_at_most(const config::Config& config) {
  constexpr unsigned kOurs = 8;
  const bool network = !config.model.path.starts_with("builtin:");
  const unsigned team = config.engine.cpu_threads != 0 ? config.engine.cpu_threads : usable_processors();
  return kMessagingThreads + kOurs + (network ? team : 0);
}

}  // namespace

void check(const config::Config& config) {
  if (auto good = config.geometry().check(); !good) throw Fatal(good.error(), kExitConfig);
  if (auto good = model::check_model_path(config.model.path); !good) throw Fatal(good.error(), kExitConfig);
  if (auto good = model::check_model_form(config.model.path); !good) throw Fatal(good.error(), kExitConfig);
  if (config.shedding.has_smaller_model()) {
    if (auto good = model::check_model_path(config.shedding.model, "shedding.model"); !good)
      throw Fatal(good.error(), kExitConfig);
  }
  if (auto plans = plan_devices(config); !plans) throw Fatal(plans.error(), kExitConfig);
  const auto calibration = read_calibration(config);
  if (!calibration) throw Fatal(calibration.error(), kExitConfig);
  calibration->log();
}

int serve(const config::Config& config, StopSignal& signals, const std::function<Result<config::Config>()>& reread) {
  check(config);
  if (auto room = room_for(threads_at_most(config), kMessagingDescriptors); !room)
    throw Fatal(room.error(), kExitSystem);
  PoolKeeper keeper(config);
  const config::Config at_work = with_pool(config, keeper.pool()->geometry());  // `rebuffer` may have changed it
  auto calibration = read_calibration(at_work);
  if (!calibration) throw Fatal(calibration.error(), kExitConfig);
  introduce(keeper.layout(), config);
  shm::EventCount progress;
  Mailbox mailbox(progress);
  std::mutex models;  // the workers enter theirs one after the other
  const auto enter_model = [&](const model::ModelInfo& info, const std::string& golden, const std::string& bad_pixels) {
    const std::lock_guard hold(models);
    std::string rows;
    for (const auto count : info.rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
    return shm::enter_model(keeper.layout(),
                            {info.path, info.sha256, info.kind, golden, rows.empty() ? "any" : rows, bad_pixels});
  };
  EngineRoom room(at_work, std::move(calibration->values), enter_model, progress);
  RunControl control(
      keeper, room, config.autostart,
      [&](bool no_writer) { return check_start(room.config(), keeper.writers(), no_writer); }, progress);
  auto server = control::Server::listen(
      {config.control.endpoint, config.control.monitor, config.pool.mode, config.pool.group, config.control.curve_key,
       config.control.curve_clients, [&](const Error& error) { keeper.note(error); }},
      make_handler(keeper, mailbox));
  if (!server) {
    keeper.layout().daemon.state.store(DaemonState::absent);
    throw Fatal(server.error(), server.error().id.starts_with("process.") ? kExitSystem : kExitUnavailable);
  }
  Reloader reloader(config, reread, room, control);
  const SignalWatch watch(signals, [&mailbox](int signal) { mailbox.put(SignalCame{signal}); });
  const std::string sockets = config::runtime_folder(config.instance);
  if (const auto why = config::why_no_session_folder();
      !why.empty() && config.control.endpoint.starts_with("ipc://" + sockets + "/"))
    spdlog::warn("{}; the sockets are in {}", why, sockets);
  spdlog::info("peaknetd {} instance '{}' answers on {}", kVersion, config.instance, config.control.endpoint);
  notify_status("warming the model");

  auto& layout = keeper.layout();
  Rates rates;
  Progress progress_made(engine::WorkerLoop::longest_call(worker_options(at_work)));
  bool ready_told = false;
  std::int64_t next_tidy = 0;
  std::int64_t next_second = 0;
  std::int64_t next_watchdog = 0;
  const auto watchdog = watchdog_interval();
  while (!control.shut_down() && control.state() != DaemonState::failed) {
    const std::array armed = {shm::EventCount::Armed{&progress, progress.prepare()},
                              shm::EventCount::Armed{&layout.control_event, layout.control_event.prepare()}};
    for (auto& message : mailbox.take()) obey(message, control, reloader);
    room.engine().look_after();
    control.step();
    const std::int64_t now = shm::monotonic_ns();
    layout.daemon.heartbeat_ns.store(now);
    if (now >= next_tidy) {
      keeper.tidy();
      watch_pool(layout, keeper, now);
      next_tidy = now + 100'000'000;
    }
    if (now >= next_second) {
      const auto books = shm::read_books(keeper.directory(), keeper.pool().get());
      rates.update(layout, books);
      notify_status(std::string(shm::name(control.state())) + ", run " + layout.run.id.load() + ", " +
                    std::to_string(books.of_run(shm::Counter::inferred)) + " frames inferred, " +
                    std::to_string(books.in_flight()) + " in flight, " +
                    control::health_line(control::judge(keeper.directory(), keeper.pool().get(), true, books)));
      if (control.state() == DaemonState::draining) notify_extend_timeout(std::chrono::seconds(10));
      next_second = now + 1'000'000'000;
    }
    if (!ready_told && control.state() != DaemonState::starting && control.state() != DaemonState::failed) {
      notify_ready();
      ready_told = true;
    }
    if (watchdog && now >= next_watchdog &&
        progress_made.made(std::chrono::steady_clock::now(), frames_done(layout), room.engine().frames_in_flight(),
                           room.engine().steps())) {
      notify_watchdog();
      next_watchdog = now + std::chrono::nanoseconds(*watchdog).count();
    }
    if (mailbox.empty() && !control.shut_down()) shm::EventCount::wait_any(armed);
  }
  notify_extend_timeout(std::chrono::seconds(30));  // devices that hang are waited for, a little
  const bool failed = control.state() == DaemonState::failed;
  const int code = failed ? failed_exit(room.engine(), ready_told) : 0;
  if (failed) {
    const auto failures = room.engine().failures();
    layout.daemon.failure.store(failures.empty() ? "every device is lost" : failures.front().text());
  } else {
    layout.daemon.state.store(DaemonState::absent);
  }
  return code;
}

}  // namespace peaknet::service
