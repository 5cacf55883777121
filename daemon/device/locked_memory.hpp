// How much memory this process may lock, for messages about memory that a driver could not pin.
#pragma once

#include <sys/resource.h>

#include <string>

#include "base/text.hpp"

namespace peaknet::device {

inline constexpr const char* kLockMoreMemory = "ulimit -l unlimited; in the unit LimitMEMLOCK=infinity";

inline std::string locked_memory_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "the limit of locked memory is not known";
  if (limit.rlim_cur == RLIM_INFINITY) return "locked memory has no limit";
  return "locked memory is limited to " + human_bytes(limit.rlim_cur);
}

}  // namespace peaknet::device
