// The life of peaknet-live: follow the folder of the files, and give hits to those who index.
//
// It takes part in nothing: no lock of the writer, no slot. A writer and a daemon do not know of it. With streams of
// indexamajig it leaves what they say in the control segment (indexing_recorder.hpp), for whoever reads that.
//
// Threads: the caller's alone (libzmq has its own where hits go to DIALS). Errors: Fatal for what cannot be had at the
// start.
#pragma once

#include <string>
#include <vector>

#include "base/stop_signal.hpp"
#include "config/config.hpp"

namespace peaknet::live {

struct ServiceOptions {
  std::string name = "live";              // a second server of the same files has another
  std::vector<std::string> streams = {};  // that indexamajig writes
  std::string run;                        // only this run, which may be over; "": the newest and all that follow
};

// Until a signal. Exit codes of Fatal: 73 a port or a book cannot be had, 78 configuration.
void serve(const config::Config& config, const ServiceOptions& options, StopSignal& signal);

}  // namespace peaknet::live
