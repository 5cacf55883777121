#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <thread>

namespace peaknet {
namespace {

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> share(const std::string& quota, const std::string& period) {
  const auto used = number(quota);  // "max" and "-1": no quota
  const auto of = number(period);
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
