// peaknetctl status --check: is anything wrong that somebody should look at? For scripts and monitoring. The judgement
// is that of control/health.hpp, which a status brings with it.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// peaknet.health/1, of a peaknet.status/1 document and how that was got.
nlohmann::json health_document(const nlohmann::json& status, ExitCode answered);

// That document. `answered` is the exit code that getting the status ended with; where that is ok, this
// is ok, or degraded for whatever is not healthy.
ExitCode show_health(const Options& options, const nlohmann::json& status, ExitCode answered, std::ostream& out);

}  // namespace peaknet::ctl
