// What all launches of a kernel have done so far.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tests/gpusim/execute.hpp"

namespace peaknet::gpusim {

struct KernelTotals {
  std::uint64_t launches = 0, threads = 0;
  Traffic loads{}, stores{};
  std::uint32_t wide_division_sites = 0;  // in the kernel's text
  std::uint32_t most_divisions = 0;       // of a thread
  void add(const Kernel& kernel, const LaunchReport& report) {
    ++launches;
    threads += report.threads;
    loads += report.loads;
    stores += report.stores;
    wide_division_sites = kernel.wide_division_sites;
    most_divisions = std::max(most_divisions, report.most_divisions);
  }
};

}  // namespace peaknet::gpusim
