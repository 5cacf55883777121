// Processes and threads of this machine as /proc shows them.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace peaknet::test {

// The numbers in a folder of /proc: processes, or the threads of one. Both are numbered in the order of their making,
// until the numbers begin anew.
inline std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> numbers;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }))
      numbers.push_back(std::stoi(name));
  }
  return numbers;
}

// The line of a file that begins with `name`, without it; "" if there is none, or no file (any more).
inline std::string line_of(const std::string& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const pid_t process : numbers_in("/proc")) {
    const std::string of = line_of("/proc/" + std::to_string(process) + "/status", "PPid:");
    if (!of.empty() && std::stoi(of) == parent) children.push_back(process);
  }
  return children;
}

}  // namespace peaknet::test
