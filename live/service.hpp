// The life of peaknet-live: follow the folder of the files, and give hits to workers that ask.
//
// It takes part in nothing: no shared memory, no lock of the writer, no slot. A writer and a daemon do not know of it.
//
// A request `counts` is answered with the counts as JSON; any other text asks for the next hit, and waits for one.
//
// Threads: the caller's alone. Errors: Fatal for what cannot be had at the start.
// After a crash: see served_book.hpp for hits, request_server.hpp for workers that wait.
#pragma once

#include <string>

#include "base/stop_signal.hpp"
#include "config/config.hpp"

namespace peaknet::live {

struct ServiceOptions {
  std::string name = "live";  // a second server of the same files has another
  std::string run;            // only this run, which may be over; "": the newest and all that follow
};

// Until a signal. Exit codes of Fatal: 73 a port or a book cannot be had, 78 configuration.
void serve(const config::Config& config, const ServiceOptions& options, StopSignal& signal);

}  // namespace peaknet::live
