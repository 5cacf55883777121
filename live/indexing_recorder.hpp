// IndexingRecorder: what indexamajig makes of the hits of the current run, into the control segment of the instance
// (shm/indexing.hpp), where stats, metrics and the page find it.
//
// It is a courtesy: where there is no control segment (another machine, no peaknetd yet, another version), nothing is
// written, and it is tried again at the next look. The one lock that it takes hinders nobody but a second peaknet-live,
// which then records nothing for as long.
//
// Threads: one. Errors: the log says once why nothing is written. After a crash: the last figures stand and grow old.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "live/stream_tally.hpp"
#include "shm/control_segment.hpp"
#include "shm/indexing.hpp"

namespace peaknet::live {

class IndexingRecorder {
 public:
  // How many hits of a run were handed to workers; nothing: not known.
  using Served = std::function<std::optional<std::uint64_t>(const std::string& run)>;

  // `run`: "", or the one that alone is served: while another is on, nothing is written.
  IndexingRecorder(std::string instance, std::string run) : instance_(std::move(instance)), only_run_(std::move(run)) {}

  // After each look into the streams. `runs`: the sum of all streams.
  void record(const std::map<std::string, RunTally>& runs, const Served& served);

 private:
  bool attach();
  void detach();
  void say(const Error& error);

  std::string instance_;
  std::string only_run_;
  std::shared_ptr<shm::ControlSegment> control_segment_;
  std::optional<shm::LockFile> lock_;
  bool held_ = false;
  std::string said_;
};

// Of one run among all that the streams have.
shm::IndexingFigures figures_of(const std::map<std::string, RunTally>& runs, const std::string& run);

}  // namespace peaknet::live
