// Vector clocks over streams: what an operation, an event or the host knows to have been done before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace peaknet::gpusim {

using Clock = std::vector<std::uint64_t>;  // by number of the stream: how many of its operations are known

inline void join(Clock& into, const Clock& other) {
  if (into.size() < other.size()) into.resize(other.size());
  for (std::size_t i = 0; i < other.size(); ++i) into[i] = std::max(into[i], other[i]);
}

inline std::uint64_t at(const Clock& clock, std::uint32_t stream) { return stream < clock.size() ? clock[stream] : 0; }

}  // namespace peaknet::gpusim
