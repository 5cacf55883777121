// peaknetctl view: the latest hit as a picture with its peaks circled, from the Tap: no producer, device or writer
// waits for it or knows of it, and no daemon is needed.
#pragma once

#include <iosfwd>

#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {

// A hit is a frame with at least `place.peaks.min_num_peak` peaks, as for the writer; its panels are where
// `place.geometry` says. Waits up to --timeout (10 s) for one;
// with --follow makes a new picture for each new one until broken off. The file appears whole or not at all. With
// --json a peaknet.view/1 document for each picture. Errors: view.no-hit (exit code 4), those of the Tap and of the
// file.
ExitCode view(const Options& options, const Target& target, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
