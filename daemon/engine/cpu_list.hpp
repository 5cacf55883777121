// Processors by list, and where a worker runs. "0-3,8" as in /sys, or "node1": those of a NUMA node. A worker should
// run on the processors next to its GPU: its copies then start where the memory is.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::engine {

// The numbers, ascending, each once; at least one. Errors: device.bad-cpus with what is wrong.
Result<std::vector<unsigned>> parse_cpu_list(const std::string& text);

// Processors of a list or node of this machine. Errors: device.bad-cpus, also for a node that is not there.
Result<std::vector<unsigned>> find_cpus(const std::string& text);

// Keep the calling thread, and every thread that it starts from now on, on these processors. Errors: device.bad-cpus if
// none of them may be used.
Status stay_on(const std::vector<unsigned>& cpus);

}  // namespace peaknet::engine
