// Rehearsal: work with a library that may crash or hang on bad input, done once in a forked copy of this process before
// it is done here. The copy has the same memory, so what ends it would have ended us; nothing that it does is seen
// here.
//
// For a thread that holds every lock that `work` wants, as the copy has this one thread alone. `work` must not log or
// start threads. The copy never outlives the calling thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace peaknet::feed {

enum class Rehearsal : std::uint8_t {
  ended,
  crashed,
  hung,    // did not end in time, and was killed
  failed,  // could not be tried: no process can be made
};

Rehearsal rehearse(const std::function<void()>& work, std::chrono::milliseconds at_most);

}  // namespace peaknet::feed
