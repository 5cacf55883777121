#include "shm/errors.hpp"

#include <algorithm>
#include <map>

namespace peaknet::shm {

std::vector<ErrorSummary> read_errors(const ControlSegment& control_segment) {
  std::map<std::string, ErrorSummary> kinds;
  for (const ParticipantRecord& participant : control_segment.layout().participants) {
    for (const ErrorRecord& record : participant.errors) {
      const std::uint64_t count = record.count.load(std::memory_order_acquire);
      std::string id = record.id.load();
      if (count == 0 || id.empty()) continue;
      const std::int64_t first = record.first_ns.load(std::memory_order_relaxed);
      const std::int64_t last = record.last_ns.load(std::memory_order_relaxed);
      ErrorSummary& kind = kinds[id];
      kind.id = std::move(id);
      kind.first_ns = kind.count == 0 ? first : std::min(kind.first_ns, first);
      kind.count += count;
      if (last < kind.last_ns) continue;
      kind.last_ns = last;
      kind.text = record.text.load();
      kind.label = participant.label.load();
    }
  }
  std::vector<ErrorSummary> list;
  for (auto& [id, kind] : kinds) list.push_back(std::move(kind));
  std::stable_sort(list.begin(), list.end(),
                   [](const ErrorSummary& a, const ErrorSummary& b) { return a.last_ns > b.last_ns; });
  return list;
}

}  // namespace peaknet::shm
