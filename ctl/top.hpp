// peaknetctl top: the whole screen, drawn anew every second, when a key is pressed and when the window changes its
// size, from the control segment alone, so also while the daemon hangs or is gone. Plain ANSI sequences; the screen
// that was there comes back at the end, and while it is suspended (Ctrl-Z).
#pragma once

#include <iosfwd>
#include <string>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Until q, Ctrl-C, the end of the input, or until the instance goes. Needs a terminal: top.no-terminal where stdin or
// stdout is none, or none that can place text (`watch` is for those).
ExitCode top(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
