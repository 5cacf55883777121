// Memory of a process, for tests that want it to stay flat.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace peaknet::test {

// KiB of it that are in memory (VmRSS); 0 if there is no such process.
std::size_t resident_kib(pid_t pid);

}  // namespace peaknet::test
