// Supervisor: the one thread that holds peaknetd together: shared memory, devices, control socket, signals, systemd.
//
// Threads: the caller's is the supervisor's; the others are the devices' workers, the control server's and the one that
// waits for signals. Errors: Fatal where it cannot start; later each goes where it belongs (requests, the list of
// errors, the log). After a crash: the next daemon finds frames, counters and run in shared memory.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/signal_watch.hpp"
#include "base/stop_signal.hpp"
#include "config/config.hpp"
#include "control/server.hpp"
#include "daemon/supervisor/effective_config.hpp"
#include "daemon/supervisor/engine_host.hpp"
#include "daemon/supervisor/mailbox.hpp"
#include "daemon/supervisor/pool_manager.hpp"
#include "daemon/supervisor/rates.hpp"
#include "daemon/supervisor/run_control.hpp"
#include "daemon/supervisor/watchdog.hpp"

namespace peaknet::supervisor {

class Supervisor {
 public:
  // Takes the instance, starts the engine and answers on the control socket. `reread` gives the configuration as the
  // file has it now.
  Supervisor(const config::Config& config, StopSignal& signals, std::function<Result<config::Config>()> reread);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Until a stop signal, or until no device is left. Returns the exit code of the program.
  int run();

 private:
  EngineHost make_engine_host();
  std::uint64_t enter_model(const model::ModelInfo& info, const std::string& golden, const std::string& bad_pixels);
  std::unique_ptr<control::Server> listen();
  void introduce();
  void tell_where() const;
  void every_tenth(std::int64_t now);
  void every_second(std::int64_t now);
  void tell_ready();
  void feed_watchdog();
  int finish();
  shm::ControlLayout& layout() const { return pool_manager_.layout(); }

  EffectiveConfig config_;
  PoolManager pool_manager_;
  shm::EventCount progress_;
  Mailbox mailbox_;
  std::mutex models_;  // the workers enter theirs one after the other
  EngineHost engine_host_;
  RunControl control_;
  std::unique_ptr<control::Server> server_;
  std::optional<SignalWatch> watch_;
  Rates rates_;
  Watchdog watchdog_;
  bool ready_told_ = false;
  std::int64_t next_maintenance_ = 0, next_second_ = 0;
};

}  // namespace peaknet::supervisor
