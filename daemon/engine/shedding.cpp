#include "daemon/engine/shedding.hpp"

#include <algorithm>

namespace peaknet::engine {

Shedding::Shedding(const SheddingOptions& options) : options_(options), efforts_(1) {
  ShedLevel effort{.hurry = true};
  efforts_.push_back(effort);
  effort.smaller_model = options.smaller_model;
  if (effort.smaller_model) efforts_.push_back(effort);
  while (effort.keep_one_of < options.keep_one_of) {
    effort.keep_one_of = std::min(2 * effort.keep_one_of, options.keep_one_of);
    efforts_.push_back(effort);
  }
}

std::optional<Shedding::Step> Shedding::look(Clock::time_point now, std::uint32_t waiting, std::uint32_t free) {
  const double backlog = waiting == 0 ? 0 : static_cast<double>(waiting) / (waiting + free);
  const std::lock_guard hold(mutex_);
  const auto lasted = [&](bool is_so, std::optional<Clock::time_point>& since, std::chrono::nanoseconds span) {
    if (!is_so) return since.reset(), false;
    if (!since) since = now;
    return now - *since >= span;
  };
  const bool high = lasted(backlog > options_.raise_at, high_since_, options_.raise_after);
  const bool low = lasted(backlog < options_.lower_at, low_since_, options_.lower_after);
  Step step{.from = level_, .to = level_, .effort = {}, .backlog = backlog};
  if (high && level_ + 1 < levels()) ++step.to;
  if (low && level_ > 0) --step.to;
  if (step.to == step.from) return std::nullopt;
  level_ = step.to;
  high_since_.reset();  // the next step takes its time too
  low_since_.reset();
  step.effort = efforts_[level_];
  return step;
}

ShedLevel Shedding::effort() const {
  const std::lock_guard hold(mutex_);
  return efforts_[level_];
}

std::uint32_t Shedding::level() const {
  const std::lock_guard hold(mutex_);
  return level_;
}

std::uint32_t Shedding::skip_first(std::uint32_t count, std::uint32_t keep_one_of) {
  const auto past = static_cast<std::uint32_t>(taken_.fetch_add(count, std::memory_order_relaxed) % keep_one_of);
  return past == 0 ? 0 : keep_one_of - past;
}

std::string describe(const ShedLevel& effort) {
  if (!effort.hurry) return "every frame is processed, in full batches";
  const std::string frames = effort.keep_one_of == 1 ? "every frame is processed"
                                                     : "one frame of " + std::to_string(effort.keep_one_of) +
                                                           " is processed, the others are skipped";
  return frames + ", without waiting for full batches" + (effort.smaller_model ? ", by the smaller model" : "");
}

}  // namespace peaknet::engine
