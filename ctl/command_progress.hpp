// What a command that takes long is at, for a ProgressLine (base/progress_line.hpp): read from the control segment, so
// that it says something while the daemon is at work and cannot answer.
#pragma once

#include <functional>
#include <string>

#include "ctl/options.hpp"

namespace peaknet::ctl {

// "draining: 18 of 24 frames left, 15 s". For start, stop, rebuffer, model load, reload and wait.
std::function<std::string()> progress_of(const Options& options, const std::string& instance);

}  // namespace peaknet::ctl
