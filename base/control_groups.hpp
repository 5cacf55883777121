// The control groups of this process, as version 1 and version 2 show them: the folders of the own group and of those
// above it, each of which may hold a limit.
//
// Threads: any. Errors: none; what cannot be read counts as not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

}  // namespace peaknet
