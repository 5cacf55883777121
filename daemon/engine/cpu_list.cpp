#include "daemon/engine/cpu_list.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

namespace peaknet::engine {
namespace {

Error bad(const std::string& what) {
  return {"device.bad-cpus", what, "nothing was started", "a list as \"0-3,8\" or \"node0\" in engine.cpus, see lscpu"};
}

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value >= CPU_SETSIZE) return std::nullopt;
  return value;
}

}  // namespace

Result<std::vector<unsigned>> parse_cpu_list(const std::string& text) {
  std::vector<unsigned> cpus;
  std::string_view rest = text;
  for (;;) {
    const auto comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const auto dash = part.find('-');
    const auto first = number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (!first || !last || *last < *first) return bad("'" + text + "' is no list of processors");
    for (unsigned cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

Result<std::vector<unsigned>> find_cpus(const std::string& text) {
  if (!text.starts_with("node")) return parse_cpu_list(text);
  const auto node = number(std::string_view(text).substr(std::strlen("node")));
  std::string list;
  if (node) {
    std::ifstream file("/sys/devices/system/node/node" + std::to_string(*node) + "/cpulist");
    std::getline(file, list);
  }
  if (list.empty()) return bad("this machine has no NUMA node '" + text + "' with processors");
  return parse_cpu_list(list);
}

Status stay_on(const std::vector<unsigned>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return {};
  const int cause = errno;
  return bad("a worker cannot run on " + std::to_string(cpus.size()) + " processors from " +
             std::to_string(cpus.empty() ? 0 : cpus.front()) + " on: " + std::strerror(cause));
}

}  // namespace peaknet::engine
