// serve(): peaknetd from its configuration to its exit code. One supervisor thread (the caller's) holds everything
// together: shared memory, devices, control socket, signals, systemd; the others are the devices' workers, the control
// server's thread and the one that waits for signals.
#pragma once

#include <functional>

#include "base/result.hpp"
#include "base/stop_signal.hpp"
#include "config/config.hpp"

namespace peaknet::supervisor {

// Refuse what cannot work before anything is touched: geometry, model file, devices, room in /dev/shm. Throws Fatal.
void check(const config::Config& config);

// Run until a stop signal, or until no device is left. Returns the exit code: 0 after a clean end, kExitSoftware when
// every device is lost. Throws Fatal where it cannot start.
// `reread` gives the configuration as the file has it now, for `reload`.
int serve(const config::Config& config, StopSignal& signals, const std::function<Result<config::Config>()>& reread);

}  // namespace peaknet::supervisor
