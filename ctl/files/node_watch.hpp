// NodeWatch: asks the peaknetd of each of many nodes once a second, and keeps what each said last. A node that is dead
// costs the others nothing: it holds one of kAtOnce threads for a time-out, and is then left alone for kPause.
//
// Threads: follow() in one of its own, which has more; answers() from any. Errors: a node's own, in its place.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "shm/history.hpp"

namespace peaknet::ctl {

// A row of a peaknet.history/1 document: time, span_ms, run, and the counts.
inline constexpr std::size_t kPastColumns = 3 + shm::kMeasures;
using PastRow = std::array<std::int64_t, kPastColumns>;
using PastRows = std::map<std::int64_t, PastRow>;  // by their time

// Of one node.
struct NodeSaid {
  nlohmann::json status, stats, errors;
  nlohmann::json peaks_per_frame;
  PastRows seconds, minutes;  // these as they were at most kMinutes ago
};
struct NodeAnswer {
  std::string host;
  std::shared_ptr<const NodeSaid> last = {};  // null: it has never answered
  std::optional<Error> silent = {};           // why it does not answer now

  // Null: it does not answer, or has not been asked to the end yet.
  const NodeSaid* said() const { return silent ? nullptr : last.get(); }
};

class NodeWatch {
 public:
  static constexpr std::size_t kAtOnce = 32;
  static constexpr std::chrono::seconds kEvery{1}, kPause{3}, kMinutes{30};

  using Clock = std::chrono::steady_clock;
  using Ask = std::function<Result<nlohmann::json>(const std::string& host, const std::string& method,
                                                   const nlohmann::json& params)>;
  // `ask` is called in many threads at once.
  NodeWatch(std::vector<std::string> hosts, Ask ask);

  // Until it is asked to stop, and what is being asked has ended.
  void follow(const std::stop_token& stop);
  // In the order of the hosts.
  std::vector<NodeAnswer> answers() const;

 private:
  struct Node {
    NodeAnswer last;
    Clock::time_point due{};
    std::optional<Clock::time_point> minutes_at;
    bool busy = false;
  };
  using Said = std::shared_ptr<const NodeSaid>;
  void work(const std::stop_token& stop);
  Result<Said> ask_all(Node& node, const Said& before);

  Ask ask_;
  mutable std::mutex mutex_;  // of `last`, `due` and `busy`; who made a node busy has the rest of it
  std::vector<Node> nodes_;
};

}  // namespace peaknet::ctl
