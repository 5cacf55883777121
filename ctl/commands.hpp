// What peaknetctl does: one function, so that tests call it without a process.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Carry out `options`. Data goes to `out` (with --json exactly one document, also for an error), messages to `err`.
ExitCode carry_out(const Options& options, std::ostream& out, std::ostream& err);

// Show an error: on `err` for people, with `json` on `out` too, as a peaknet.error/1 document.
ExitCode show_error(const Error& error, bool json, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
