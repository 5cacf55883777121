// peaknetctl view: the latest hit as a picture with its peaks circled, from the Tap: no producer, device or writer
// waits for it or knows of it, and no daemon is needed.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {

// What is a hit, where panels are and which pixels are bad is as for the writer: by --config, else by the configuration
// that the daemon says it works with; what is not known is said on `err` and in the picture. Waits up to --timeout
// (10 s) for a hit; with --follow makes a new picture for each new one until broken off. The file appears whole or not
// at all. With
// --json a peaknet.view/1 document for each picture. Errors: view.no-hit (exit code 4), those of the Tap and of the
// file.
ExitCode view(const Options& options, const Target& target, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
