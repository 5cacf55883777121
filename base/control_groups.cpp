#include "base/control_groups.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/text.hpp"

namespace peaknet {
namespace {

// The groups of a line "ID:CONTROLLERS:/PATH" that may have a limit: where their folders begin. Version 2 names no
// controllers.
std::vector<std::string> roots_of(const std::string& controllers, const std::string& controller,
                                  const std::string& mount) {
  if (controllers.empty()) return {mount, mount + "/unified"};
  if (("," + controllers + ",").find("," + controller + ",") == std::string::npos) return {};
  if (controllers == controller) return {mount + "/" + controller};
  return {mount + "/" + controllers, mount + "/" + controller};
}

// Version 1 writes the largest number of pages, in bytes, where there is no limit; version 2 "max".
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60U;

std::optional<std::uint64_t> limit_in(const std::string& file) {
  std::string text;
  if (!(std::ifstream(file) >> text)) return std::nullopt;
  const auto value = number_in<std::uint64_t>(text);
  return value && *value < kNoLimit ? value : std::nullopt;
}

// memory.stat: "anon" and "shmem" of version 2, "total_rss" and "total_shmem" of version 1, of the groups below too.
std::uint64_t used_in(const std::string& folder, bool version_2) {
  const auto names = version_2 ? std::array{"anon", "shmem"} : std::array{"total_rss", "total_shmem"};
  std::uint64_t used = 0;
  std::ifstream file(folder + "/memory.stat");
  std::string name;
  std::uint64_t bytes = 0;
  while (file >> name >> bytes) {
    if (std::ranges::find(names, name) != names.end()) used += bytes;
  }
  return used;
}

// Is this process in the group of that folder itself?
bool is_own(const std::string& folder) {
  std::ifstream members(folder + "/cgroup.procs");
  for (pid_t member = 0; members >> member;) {
    if (member == ::getpid()) return true;
  }
  return false;
}

// From another cgroup namespace (docker exec, unshare --cgroup) a group may lie above that namespace's root and is
// called "/../../job"; where the mount is still the host's, its folder is that of "/job". Another group may have that
// name too, so its members have to say so.
std::string within_mount(std::string path, const std::vector<std::string>& roots) {
  constexpr std::string_view kUp = "/..";
  std::string inside = path;
  while (inside.starts_with(kUp) && (inside.size() == kUp.size() || inside[kUp.size()] == '/'))
    inside.erase(0, kUp.size());
  if (inside.size() == path.size()) return path;
  const bool own = std::ranges::any_of(roots, [&](const std::string& root) { return is_own(root + inside); });
  return own ? inside : "";
}

template <std::size_t Count>
std::optional<GroupLimit> least(const std::string& controller, const std::array<const char*, Count>& files,
                                const ControlGroups& groups) {
  std::optional<GroupLimit> least;
  for (const auto& folder : group_folders(controller, groups)) {
    for (const char* name : files) {
      const std::string file = folder + "/" + name;
      const auto value = limit_in(file);
      if (value && (!least || *value < least->value)) least = GroupLimit{*value, file};
    }
  }
  return least;
}

}  // namespace

std::vector<std::string> group_folders(const std::string& controller, const ControlGroups& groups) {
  std::vector<std::string> folders;
  std::ifstream membership(groups.membership);
  for (std::string line; std::getline(membership, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    while (path.ends_with('/')) path.pop_back();
    const auto roots = roots_of(line.substr(first + 1, second - first - 1), controller, groups.mount);
    path = within_mount(std::move(path), roots);
    for (const auto& root : roots) {
      // In a container the path may be that of the host, whose folders are not there: then the root is the own group.
      for (std::string above = path;; above.erase(above.rfind('/'))) {
        folders.push_back(root + above);
        if (above.empty()) break;
      }
    }
  }
  return folders;
}

std::optional<GroupLimit> memory_limit(const ControlGroups& groups) {
  return least("memory", std::array{"memory.max", "memory.limit_in_bytes"}, groups);
}

std::string GroupMemory::text() const {
  return limit.file + " allows " + human_bytes(limit.value) + " to this control group, " + human_bytes(used) +
         " of it are in use";
}

std::optional<GroupMemory> group_memory(const ControlGroups& groups) {
  std::optional<GroupMemory> least;
  for (const auto& folder : group_folders("memory", groups)) {
    for (const std::string name : {"memory.max", "memory.limit_in_bytes"}) {
      const std::string file = folder + "/" + name;
      const auto value = limit_in(file);
      if (!value) continue;
      const GroupMemory found{{*value, file}, used_in(folder, name == "memory.max")};
      if (!least || found.left() < least->left()) least = found;
    }
  }
  return least;
}

Status group_has_room(std::uint64_t bytes, const std::string& folder, const ControlGroups& groups) {
  struct statfs mount {};
  if (::statfs(folder.c_str(), &mount) == 0 && mount.f_type == HUGETLBFS_MAGIC) return {};
  const auto memory = group_memory(groups);
  if (!memory || bytes <= memory->left()) return {};
  return Error{"pool.over-limit",
               "the pool takes " + human_bytes(bytes) + " in " + folder + ", and " + memory->text() +
                   ": the kernel would kill peaknetd while it reserves the pool",
               "nothing was made",
               "fewer pool.slots, or raise the limit (MemoryMax of the unit, --mem of the job, --memory of the "
               "container): it must hold the pool, the network, and what else runs there"};
}

std::optional<GroupLimit> task_limit(const ControlGroups& groups) {
  return least("pids", std::array{"pids.max"}, groups);
}

}  // namespace peaknet
