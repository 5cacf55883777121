// How many processors this thread may keep busy: not those of the machine, but those that its affinity mask and the
// processor quotas of its control groups leave. A second thread on the same processor only waits for the first.
#pragma once

#include <optional>

#include "base/control_groups.hpp"

namespace peaknet {

// The least of the quotas (cpu.max; version 1: cpu.cfs_quota_us) of the group and of those above it, in processors.
// Nothing: no quota, or none that can be read.
std::optional<double> processor_quota(const ControlGroups& groups = {});

// Of the affinity mask of the calling thread and the quota, rounded down: more threads than whole processors would be
// stopped together in every period. At least 1. Any thread.
unsigned usable_processors(const ControlGroups& groups = {});

}  // namespace peaknet
