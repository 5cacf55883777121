// The control segment as Prometheus reads it: text exposition format 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). docs/metrics.md says what each metric means; a test holds the
// two together.
//
// Needs read-only access to the control segment and no daemon. Any thread; a few milliseconds. Counters are those of
// the instance's lifetime, over restarts of every program; the latency histograms begin anew with each run, which
// Prometheus takes for a counter that was reset.
#pragma once

#include <string>

#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::control {

// Of an instance that has no shared memory on this machine: state `absent`, not healthy.
std::string metrics_of_absent(const std::string& instance);

std::string metrics_text(const shm::ControlSegment& control_segment, const shm::Pool* pool);

}  // namespace peaknet::control
