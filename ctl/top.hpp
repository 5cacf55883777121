// peaknetctl top: the whole screen, drawn anew every second, from the counters page alone, so also while the daemon
// hangs or is gone. Plain ANSI sequences; the screen that was there comes back at the end.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Until q, Ctrl-C, the end of the input, or until the instance goes. Needs a terminal: top.no-terminal where stdin or
// stdout is none (`watch` is for those).
ExitCode top(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err);

// The picture for a screen of that size: never more lines, and none longer (control sequences not counted).
std::string top_screen(const nlohmann::json& before, const nlohmann::json& now, double seconds, unsigned columns,
                       unsigned rows, bool colour);

}  // namespace peaknet::ctl
