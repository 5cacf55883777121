#include "base/resident_memory.hpp"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

namespace peaknet {

ResidentMemory resident_memory() {
  ResidentMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (auto [name, value] : {std::pair{"VmRSS:", &memory.now}, std::pair{"VmHWM:", &memory.peak}}) {
      if (!line.starts_with(name)) continue;
      std::istringstream(line.substr(std::string(name).size())) >> *value;
      *value *= 1024;
    }
  }
  return memory;
}

void forget_resident_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace peaknet
