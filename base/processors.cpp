#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include "base/text.hpp"

namespace peaknet {
namespace {

std::optional<double> share(const std::string& quota, const std::string& period) {
  const auto used = number_in<double>(quota);  // "max" and "-1": no quota
  const auto of = number_in<double>(period);
  if (!used || !of || *used <= 0 || *of <= 0) return std::nullopt;
  return *used / *of;
}

// Of one group, as either version says it.
std::optional<double> quota_of(const std::string& folder) {
  std::string quota;
  std::string period;
  if (std::ifstream(folder + "/cpu.max") >> quota >> period) return share(quota, period);
  if (std::ifstream(folder + "/cpu.cfs_quota_us") >> quota && std::ifstream(folder + "/cpu.cfs_period_us") >> period)
    return share(quota, period);
  return std::nullopt;
}

std::size_t affinity() {
  std::array<cpu_set_t, 16> set{};  // 16384 processors
  if (::sched_getaffinity(0, sizeof set, set.data()) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<std::size_t>(CPU_COUNT_S(sizeof set, set.data()));
}

}  // namespace

std::optional<double> processor_quota(const ControlGroups& groups) {
  std::optional<double> least;
  for (const auto& folder : group_folders("cpu", groups)) {
    if (const auto quota = quota_of(folder)) least = std::min(least.value_or(*quota), *quota);
  }
  return least;
}

unsigned usable_processors(const ControlGroups& groups) {
  const auto allowed = static_cast<double>(affinity());
  return static_cast<unsigned>(std::max(1.0, std::min(allowed, processor_quota(groups).value_or(allowed))));
}

}  // namespace peaknet
