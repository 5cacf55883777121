// Gate: what the workers may take from Q1 now, set by the service, read by every worker before each batch.
// Open: every waiting frame, as part of run `run`. Draining: only frames whose sequence is below `below`, that is,
// those committed before the stop. Shut: none. Any thread; changes wake sleeping workers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "shm/event_count.hpp"
#include "shm/state_word.hpp"

namespace peaknet::engine {

class Gate {
 public:
  struct Opening {
    std::uint64_t below = 0;  // 0: shut
    std::string run;
  };

  void open(std::string run) { set({shm::kMaxSequence, std::move(run)}); }
  void drain(std::uint64_t below) {
    Opening opening = read();
    opening.below = std::min(opening.below, below);  // a gate that is shut stays shut
    set(std::move(opening));
  }
  void shut() { drain(0); }

  Opening read() const {
    const std::shared_lock hold(mutex_);
    return opening_;
  }
  // Run `take` with the opening while nobody can change it: once open, drain or shut has returned, no worker takes
  // frames by what held before.
  template <class Take>
  auto pass(const Take& take) const {
    const std::shared_lock hold(mutex_);
    return take(opening_);
  }
  shm::EventCount& changed() { return changed_; }

 private:
  void set(Opening opening) {
    {
      const std::unique_lock hold(mutex_);
      opening_ = std::move(opening);
    }
    changed_.notify();
  }
  mutable std::shared_mutex mutex_;  // shared by the workers that are taking frames
  Opening opening_;
  shm::EventCount changed_;
};

}  // namespace peaknet::engine
