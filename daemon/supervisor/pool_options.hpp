// What kind of memory the pool of a configuration is in. Pure; any thread.
#pragma once

#include <string>

#include "config/config.hpp"
#include "shm/segment.hpp"

namespace peaknet::supervisor {

inline shm::SegmentOptions pool_options(const config::Config& config) {
  shm::SegmentOptions options{.mode = config.pool.mode, .group = config.pool.group};
  options.transparent_huge = config.pool.hugepages == config::HugePages::transparent;
  options.folder = config.pool.folder;
  if (!config.pool.numa_node.empty()) options.numa_node = static_cast<std::uint32_t>(std::stoul(config.pool.numa_node));
  return options;
}

}  // namespace peaknet::supervisor
