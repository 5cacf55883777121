// peaknetctl config: the configuration shown whole, checked, or made from the files of the Ray pipeline. Needs no
// daemon.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// show: YAML of ours, every key (also with --plain; a peaknet.config/1 document with --json). check: "is good", or the
// error. import: YAML of ours on `out`, what was left on `err` too; with --json a peaknet.import/1 document.
ExitCode configuration(const Options& options, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
