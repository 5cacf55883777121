#include "daemon/supervisor/rates.hpp"

#include <algorithm>
#include <cmath>

#include "control/outcome_names.hpp"

namespace peaknet::supervisor {
namespace {

using shm::Counter;
using shm::Measure;

constexpr double kSmoothedSeconds = 60;

// What a counter gained; nothing where somebody wrote over it.
struct Gains {
  const shm::CounterTotals& before;
  const shm::CounterTotals& now;
  std::uint64_t of(Counter counter) const {
    const auto i = static_cast<std::size_t>(counter);
    return now[i] - std::min(now[i], before[i]);
  }
  template <class Causes>
  std::uint64_t of_all(const Causes& causes) const {
    std::uint64_t sum = 0;
    for (const auto& cause : causes) sum += of(cause.counter);
    return sum;
  }
};

shm::Past past_of(const Gains& gains, double seconds, std::int64_t realtime_ns, std::uint64_t run) {
  shm::Past past;
  past.at = realtime_ns / 1'000'000'000;
  past.span_ms = static_cast<std::uint32_t>(std::clamp(std::lround(seconds * 1e3), 1L, 3'600'000L));
  past.run = static_cast<std::uint32_t>(run);
  const auto set = [&](Measure measure, std::uint64_t count) {
    past.counts[static_cast<std::size_t>(measure)] = count;
  };
  set(Measure::committed, gains.of(Counter::committed));
  set(Measure::inferred, gains.of(Counter::inferred));
  set(Measure::written, gains.of(Counter::written));
  set(Measure::filtered, gains.of(Counter::filtered));
  set(Measure::dropped, gains.of_all(control::kDropCauses));
  set(Measure::failed, gains.of_all(control::kFailCauses));
  set(Measure::refused, gains.of_all(control::kRefusalCauses));
  set(Measure::peaks, gains.of(Counter::peaks));
  return past;
}

}  // namespace

void Rates::update(shm::ControlLayout& layout, const shm::FrameAccounting& accounting, const Moment& now) {
  if (last_ && now.monotonic_ns > last_->monotonic_ns) {
    const double seconds = static_cast<double>(now.monotonic_ns - last_->monotonic_ns) / 1e9;
    const Gains gains{last_->totals, accounting.totals};
    const auto rate = [&](Counter counter) { return static_cast<double>(gains.of(counter)) / seconds; };
    layout.daemon.committed_per_s.store(rate(Counter::committed));
    layout.daemon.inferred_per_s.store(rate(Counter::inferred));
    layout.daemon.written_per_s.store(rate(Counter::written));
    layout.daemon.filtered_per_s.store(rate(Counter::filtered));
    // A file counts when it is finished, all at once, so the last second alone says nothing.
    bytes_per_s_ += (rate(Counter::file_bytes) - bytes_per_s_) * -std::expm1(-seconds / kSmoothedSeconds);
    layout.daemon.file_bytes_per_s.store(bytes_per_s_);
    shm::add_second(layout.history, past_of(gains, seconds, now.realtime_ns, layout.run.ordinal.load()));
  }
  last_ = Look{now.monotonic_ns, accounting.totals};
}

}  // namespace peaknet::supervisor
