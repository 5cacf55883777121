// peaknetctl trace: where one frame is, or how it ended: in a slot of the pool, in a finished file, or in an outcome
// log. Reads only; needs no daemon.
#pragma once

#include <iosfwd>
#include <string>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// A peaknet.trace/1 document. Not found: the error trace.not-found, which says where was looked.
ExitCode trace(const Options& options, const std::string& instance, const std::string& output_dir, std::ostream& out,
               std::ostream& err);

}  // namespace peaknet::ctl
