// The command line of peaknetctl as a value.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::ctl {

struct Options {
  std::string verb;  // as in `peaknetctl --help`; "" when `help` is all there is to do
  std::string help;  // text asked for with --help

  std::string config;    // file
  std::string instance;  // "": that of the configuration, "default" without one
  std::string hosts;     // status, stats: of these machines, added up
  std::string endpoint;  // with hosts: where they listen, "{host}" in it
  bool json = false;
  std::optional<std::chrono::milliseconds> timeout;  // for an answer, if it is not to be that of the verb

  std::string run;                                  // start
  std::chrono::milliseconds stop_timeout{120'000};  // stop
  std::uint32_t depth = 0;                          // rebuffer
  std::uint32_t batch = 0;                          // rebuffer; 0: leave it
  bool prometheus = false;                          // stats: as text for Prometheus
  std::chrono::milliseconds every{1000};            // watch
  unsigned count = 0;                               // watch: rows; 0: for ever
  std::string remove;                               // instances: take this one away; "": list them
  bool with_frames = false;                         // instances: also if frames wait in it
  std::vector<std::string> folders;                 // audit
  bool quick = false;                               // audit: do not read the images
  std::string wait_for;                             // wait: idle, running, drained
  std::chrono::milliseconds wait_timeout{60'000};   // wait
};

// Errors: cli.usage, with the nearest verb or option where one was misspelt.
Result<Options> parse_options(int argc, const char* const* argv);

// "2s", "500ms", "1.5m", "120" (seconds). Errors: cli.usage.
Result<std::chrono::milliseconds> parse_span(const std::string& text);

}  // namespace peaknet::ctl
