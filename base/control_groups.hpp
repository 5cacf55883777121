// The control groups of this process, as version 1 and version 2 show them: the folders of the own group and of those
// above it, each of which may hold a limit.
//
// Threads: any. Errors: none; what cannot be read counts as not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet {

// Where Linux tells of control groups; tests name other folders.
struct ControlGroups {
  std::string membership = "/proc/self/cgroup";
  std::string mount = "/sys/fs/cgroup";
};

// Of the groups that have a say in `controller` ("cpu", "memory", "pids"), the own ones first.
std::vector<std::string> group_folders(const std::string& controller, const ControlGroups& groups = {});

// What processes of a group may have together.
struct GroupLimit {
  std::uint64_t value = 0;
  std::string file;  // that says so
};

// The least of the limits. Nothing: none is set.
std::optional<GroupLimit> memory_limit(const ControlGroups& groups = {});  // bytes
std::optional<GroupLimit> task_limit(const ControlGroups& groups = {});    // threads of all processes

// Memory of the group that has the least left: what its processes and their shared memory have (not the page cache,
// which yields), and its limit. Nothing: no group has a limit.
struct GroupMemory {
  GroupLimit limit;
  std::uint64_t used = 0;

  std::uint64_t left() const { return limit.value > used ? limit.value - used : 0; }
  std::string text() const;  // "FILE allows 200 MiB to this control group, 12 MiB of it are in use"
};
std::optional<GroupMemory> group_memory(const ControlGroups& groups = {});

// May a pool of so many bytes be reserved in `folder`? Pages of a tmpfs are charged to the group of whoever touches
// them first, and the kernel kills whoever goes over its limit, without a word. Huge pages are not charged. Error:
// pool.over-limit.
Status group_has_room(std::uint64_t bytes, const std::string& folder, const ControlGroups& groups = {});

}  // namespace peaknet
