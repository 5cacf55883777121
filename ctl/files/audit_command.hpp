// `peaknetctl audit DIR...`: is every frame in a finished file, or filtered, dropped or failed with a cause? From the
// files alone (ctl/files): neither a daemon nor shared memory is looked at. With --json one peaknet.audit/1
// document.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// ok: proved. failed: not, and `out` says why.
ExitCode show_audit(const Options& options, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
