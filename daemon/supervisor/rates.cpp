#include "daemon/supervisor/rates.hpp"

#include <cmath>

namespace peaknet::supervisor {
namespace {

constexpr double kSmoothedSeconds = 60;

}  // namespace

void Rates::update(shm::ControlLayout& layout, const shm::FrameAccounting& accounting, std::int64_t now_ns) {
  const std::array<std::uint64_t, 4> counts = {
      accounting.total(shm::Counter::committed), accounting.total(shm::Counter::inferred),
      accounting.total(shm::Counter::written), accounting.total(shm::Counter::filtered)};
  const std::uint64_t bytes = accounting.total(shm::Counter::file_bytes);
  if (last_ns_ != 0) {
    const double seconds = static_cast<double>(now_ns - last_ns_) / 1e9;
    const auto rate = [&](std::size_t i) { return static_cast<double>(counts[i] - last_[i]) / seconds; };
    layout.daemon.committed_per_s.store(rate(0));
    layout.daemon.inferred_per_s.store(rate(1));
    layout.daemon.written_per_s.store(rate(2));
    layout.daemon.filtered_per_s.store(rate(3));
    // A file counts when it is finished, all at once, so the last second alone says nothing.
    const double now_bytes = static_cast<double>(bytes - last_bytes_) / seconds;
    bytes_per_s_ += (now_bytes - bytes_per_s_) * -std::expm1(-seconds / kSmoothedSeconds);
    layout.daemon.file_bytes_per_s.store(bytes_per_s_);
  }
  last_bytes_ = bytes;
  last_ns_ = now_ns;
  last_ = counts;
}

}  // namespace peaknet::supervisor
