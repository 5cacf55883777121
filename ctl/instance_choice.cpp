#include "ctl/instance_choice.hpp"

#include <cstdlib>
#include <vector>

#include "shm/instances.hpp"

namespace peaknet::ctl {
namespace {

constexpr std::size_t kMostNamed = 12;

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < kMostNamed; ++i) list += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kMostNamed ? list + ", ..." : list;
}

}  // namespace

Result<std::string> chosen_instance() {
  if (const char* named = std::getenv("PEAKNET_INSTANCE"); named != nullptr && *named != '\0')
    return std::string(named);
  std::vector<std::string> all, running;
  for (const auto& found : shm::list_instances()) {
    all.push_back(found.name);
    if (found.daemon == true) running.push_back(found.name);
  }
  if (running.size() == 1) return running.front();
  if (running.empty() && all.size() == 1) return all.front();
  if (all.empty()) {
    return Error{"control.not-running", "no peaknetd is running on this machine, and none has left its memory", "",
                 "systemctl start peaknet@NAME.target, or name what is meant: --instance NAME, --config FILE"};
  }
  const auto& candidates = running.empty() ? all : running;
  return Error{"instance.several",
               std::to_string(candidates.size()) +
                   (running.empty() ? " instances have shared memory" : " instances run") +
                   " on this machine: " + list_of(candidates),
               "nothing was done", "--instance NAME, or export PEAKNET_INSTANCE=NAME"};
}

}  // namespace peaknet::ctl
