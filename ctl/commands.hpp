// What peaknetctl does: one function, so that tests call it without a process.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Carry out `options`. Data goes to `out` (with --json exactly one document, also for an error), messages to `err`. For
// the commands of exec_files_tool.hpp this process becomes another program; it returns where that cannot be started.
ExitCode run_command(const Options& options, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
