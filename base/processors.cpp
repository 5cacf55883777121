#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <thread>
#include <vector>

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

// The groups of a line "ID:CONTROLLERS:/PATH" that may have a quota: where their folders begin, and the path. Version 2
// names no controllers.
std::vector<std::string> roots_of(const std::string& controllers, const std::string& mount) {
  if (controllers.empty()) return {mount, mount + "/unified"};
  if (("," + controllers + ",").find(",cpu,") == std::string::npos) return {};
  return {mount + "/" + controllers, mount + "/cpu"};
}

// In a container the path may be that of the host, whose folders are not there: then the root is the own group.
std::optional<double> least_quota(const std::string& root, std::string path) {
  std::optional<double> least;
  for (;;) {
    if (const auto quota = quota_of(root + path)) least = std::min(least.value_or(*quota), *quota);
    if (path.empty()) return least;
    path.erase(path.rfind('/'));
  }
}

std::size_t affinity() {
  std::array<cpu_set_t, 16> set{};  // 16384 processors
  if (::sched_getaffinity(0, sizeof set, set.data()) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<std::size_t>(CPU_COUNT_S(sizeof set, set.data()));
}

}  // namespace

std::optional<double> processor_quota(const ControlGroups& groups) {
  std::optional<double> least;
  std::ifstream membership(groups.membership);
  for (std::string line; std::getline(membership, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    while (path.ends_with('/')) path.pop_back();
    for (const auto& root : roots_of(line.substr(first + 1, second - first - 1), groups.mount)) {
      if (const auto quota = least_quota(root, path)) least = std::min(least.value_or(*quota), *quota);
    }
  }
  return least;
}

unsigned usable_processors(const ControlGroups& groups) {
  const auto allowed = static_cast<double>(affinity());
  return static_cast<unsigned>(std::max(1.0, std::min(allowed, processor_quota(groups).value_or(allowed))));
}

}  // namespace peaknet
