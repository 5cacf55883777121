#include "tests/gpusim/scheduler.hpp"

#include <cmath>

namespace peaknet::gpusim {

Stream* Scheduler::choose(const std::vector<Stream*>& able, std::size_t streams) {
  if (fair_) return able.front();
  if (turns_ == 0 || taste_.size() < streams) {
    taste_.resize(streams);
    for (double& weight : taste_) weight = std::exp2(static_cast<double>(below(17)) - 8);
    turns_ = 1 + below(64);
  }
  --turns_;
  double sum = 0;
  for (const Stream* stream : able) sum += taste_[stream->number];
  double pick = sum * static_cast<double>(below(1'000'000)) / 1e6;
  for (Stream* stream : able) {
    if ((pick -= taste_[stream->number]) < 0) return stream;
  }
  return able.back();
}

}  // namespace peaknet::gpusim
