// Explorer: every state that a model can reach, breadth first, each once.
#pragma once

#include <cstddef>
#include <string>

#include "tests/unit/shm_model/protocol.hpp"

namespace peaknet::model {

struct Exploration {
  std::size_t states = 0, transitions = 0, depth = 0, ends = 0;
  double seconds = 0;
  std::string problem;  // the first broken promise with the shortest way to it, "" if there is none
};

// Until everything was seen, a promise is broken, or `most_states` are reached (that is a problem, too). States are
// told apart by a hash of 128 bits.
Exploration explore(const Settings& settings, std::size_t most_states);

}  // namespace peaknet::model
