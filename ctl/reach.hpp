// Reach: a request to the daemon of a place, and why there is no answer. "Not running" is said only of what does not
// run: where a daemon holds the instance, the error names its process and what is wrong with the way to it.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {

// By the control socket; methods that change nothing also by the monitor socket, where the other one is closed to us.
// Errors: control.not-running; control.unreachable (it runs, and has no socket at that path); those of Client.
Result<nlohmann::json> ask(const Target& target, const std::string& method, const nlohmann::json& params,
                           std::chrono::milliseconds at_most);

}  // namespace peaknet::ctl
