// peaknetctl status --check: is anything wrong that somebody should look at? For scripts and monitoring.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "base/result.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// What a peaknet.status/1 document says that is not as it should be: the daemon failed, does not answer in time or left
// its last run with a cause; a device is lost; no writer while a run is going on; frames unaccounted for; a feed
// has refused something since the run began.
std::vector<Error> problems_in(const nlohmann::json& status);

// A peaknet.health/1 document. `answered` is the exit code that getting the status ended with; where that is ok, this
// is ok or degraded.
ExitCode show_health(const Options& options, const nlohmann::json& status, ExitCode answered, std::ostream& out);

}  // namespace peaknet::ctl
