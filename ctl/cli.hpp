// What the main functions of peaknetctl and peaknetctl-files share: the same command line, the same errors, the same
// colours.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Reads the command line and has it carried out on stdout and stderr; what main returns.
int run(int argc, const char* const* argv,
        ExitCode (*run_command)(const Options& options, std::ostream& out, std::ostream& err));

}  // namespace peaknet::ctl
