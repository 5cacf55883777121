// Errors: the kinds of error that the participants of an instance met, from the control segment: of the living and of
// those that have gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/control_segment.hpp"

namespace peaknet::shm {

struct ErrorSummary {
  std::string id;             // Error::id
  std::uint64_t count = 0;    // of all participants, since the control segment was made
  std::int64_t first_ns = 0;  // CLOCK_REALTIME
  std::int64_t last_ns = 0;
  std::string text;   // of the last one
  std::string label;  // of the participant id that met it last
};

// The latest first. Needs read-only access alone; texts are other processes' and are not checked.
std::vector<ErrorSummary> read_errors(const ControlSegment& control_segment);

}  // namespace peaknet::shm
