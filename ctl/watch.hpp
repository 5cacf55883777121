// peaknetctl watch: one line per interval of what the system does, from the control segment alone, so also while the
// daemon hangs or is gone.
#pragma once

#include <iosfwd>
#include <string>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// Until `options.count` rows are shown (0: for ever, or until the instance goes). With --json each row is a
// peaknet.stats/1 document on one line.
ExitCode watch(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
