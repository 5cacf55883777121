// NodesSampler: what the page of many nodes shows of one moment: the sums over those that answer, and each node's own
// row, the worst first. A node that does not answer is named with its reason, and is no zero in a sum; what cannot be
// added (times) is that of the worst node.
//
// Threads: one. Errors: none of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ctl/files/node_watch.hpp"
#include "ctl/files/page_sample.hpp"

namespace peaknet::ctl {

class NodesSampler {
 public:
  // `minimum`: peaks.min_num_peak of all, where it is known.
  explicit NodesSampler(std::optional<std::uint32_t> minimum) : minimum_(minimum) {}

  PageSample look(const std::vector<NodeAnswer>& answers);

 private:
  using Clock = std::chrono::steady_clock;
  struct Before {
    Clock::time_point at;
    std::vector<std::string> hosts;  // that it is the sum of
    nlohmann::json stats;
  };
  nlohmann::json pipeline(const nlohmann::json& stats, std::vector<std::string> hosts);

  std::optional<std::uint32_t> minimum_;
  std::optional<Before> before_;
  PageSample::Text history_;
  Clock::time_point history_at_{};
};

}  // namespace peaknet::ctl
