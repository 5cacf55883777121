// Scheduler: which stream is served next. Any order that events allow is legal, so a seed chooses among them, and is
// unfair on purpose: for a while some streams hurry and some starve, which is where a missing event shows.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tests/gpusim/operation.hpp"

namespace peaknet::gpusim {

class Scheduler {
 public:
  // `fair`: in the order of their numbers, for measurements.
  Scheduler(std::uint64_t seed, bool fair) : random_(seed), fair_(fair) {}

  // One of `able`, which is not empty; `streams` have been made so far.
  Stream* choose(const std::vector<Stream*>& able, std::size_t streams);
  // A number below `limit`; 0 if that is 0.
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

 private:
  std::mt19937_64 random_;
  bool fair_;
  std::vector<double> taste_;  // weight of each stream for a while
  std::uint64_t turns_ = 0;    // that this taste lasts
};

}  // namespace peaknet::gpusim
