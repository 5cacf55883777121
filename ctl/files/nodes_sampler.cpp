#include "ctl/files/nodes_sampler.hpp"

#include <algorithm>
#include <utility>

#include "control/protocol.hpp"
#include "control/status_documents.hpp"
#include "ctl/files/node_sums.hpp"
#include "ctl/files/pipeline.hpp"
#include "ctl/hosts.hpp"
#include "ctl/members.hpp"
#include "shm/clock.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::int64_t kTail = 8;
// The youngest second that every node has told of by now: one that not all have yet would look like a dip.
constexpr std::int64_t kSettled = 2;
constexpr std::size_t kCommitted = 3 + static_cast<std::size_t>(shm::Measure::committed);
constexpr std::chrono::seconds kHistoryEvery{2};

// As `peaknetctl -H ... --json` says it.
PageSample::Text by_host(const std::vector<NodeAnswer>& answers, const json NodeSaid::*part) {
  std::vector<HostAnswer> said;
  for (const NodeAnswer& answer : answers) {
    if (answer.said() != nullptr) {
      said.push_back({answer.host, answer.said()->*part});
    } else {
      said.push_back({answer.host, answer.silent.value_or(Error{"control.no-answer", "it has not answered yet",
                                                                "nothing was changed", "ask again in a second"})});
    }
  }
  return text_of(add_up(said));
}

// Since when no node has had a frame, in seconds since 1970.
json newest_frame(const std::vector<NodeAnswer>& answers) {
  std::int64_t newest = 0;
  for (const NodeAnswer& answer : answers) {
    if (answer.last == nullptr) continue;
    const auto& rows = answer.last->seconds;
    const auto last =
        std::find_if(rows.rbegin(), rows.rend(), [](const auto& row) { return row.second[kCommitted] > 0; });
    if (last != rows.rend()) newest = std::max(newest, last->first);
  }
  return newest > 0 ? json(newest) : json(nullptr);
}

json health_document_of(const json& health) {
  return {{"schema", "peaknet.health/1"},
          {"health", health["state"]},
          {"good", health["state"] == "healthy"},
          {"reasons", health["reasons"]}};
}

}  // namespace

// Rates of the time since the same nodes were looked at.
json NodesSampler::pipeline(const json& stats, std::vector<std::string> hosts) {
  const auto now = Clock::now();
  if (before_ && before_->hosts != hosts) before_.reset();
  const double seconds = before_ ? std::chrono::duration<double>(now - before_->at).count() : 0;
  json stages = pipeline_of(before_ ? before_->stats : json(), stats, seconds);
  if (!before_ || seconds >= 3) before_ = Before{now, std::move(hosts), stats};
  return stages;
}

PageSample NodesSampler::look(const std::vector<NodeAnswer>& answers) {
  std::vector<std::string> hosts;
  for (const NodeAnswer& answer : answers) {
    if (answer.said() != nullptr) hosts.push_back(answer.host);
  }
  const std::int64_t now_ms = shm::realtime_ns() / 1'000'000, now = now_ms / 1000;
  const json stats = stats_of_nodes(answers), health = health_of_nodes(answers), errors = errors_of_nodes(answers);
  if (Clock::now() - history_at_ >= kHistoryEvery) {
    history_ = text_of(history_of_nodes(answers, now));
    history_at_ = Clock::now();
  }
  const json participants = stats.is_null() ? json::object() : stats;
  PageSample sample;
  sample.documents = {{"status", by_host(answers, &NodeSaid::status)},
                      {"stats", by_host(answers, &NodeSaid::stats)},
                      {"health", text_of(health_document_of(health))},
                      {"errors", text_of(errors)},
                      {"history", history_},
                      {"producers", text_of(control::participants_document("producers", participants))},
                      {"writers", text_of(control::participants_document("writers", participants))}};
  json event = {{"schema", "peaknet.page/1"},
                {"instance", std::to_string(hosts.size()) + " of " + std::to_string(answers.size()) + " nodes"},
                {"now", static_cast<double>(now_ms) / 1e3},
                {"hits", json::array()},
                {"sums", nullptr},
                {"nodes", node_rows(answers)},
                {"health", health}};
  if (!hosts.empty()) {
    json past = history_of_nodes(answers, now, now - kTail);
    json& rows = past["seconds"];
    while (!rows.empty() && rows.back()[0] > now - kSettled) rows.erase(rows.size() - 1);
    event.update({{"state", member(stats, {"state"})},
                  {"daemon", {{"alive", true}, {"heartbeat_age_s", 0}}},  // of each node its health says so
                  {"run", run_of_nodes(answers)},
                  {"rates", member(stats, {"rates"})},
                  {"frames", member(stats, {"frames"})},
                  {"hit_rate", member(stats, {"hit_rate"})},
                  {"indexing", member(stats, {"indexing"})},
                  {"pool", member(stats, {"pool"})},
                  {"disk", disk_of_nodes(answers)},
                  {"newest_frame", newest_frame(answers)},
                  {"pipeline", pipeline(stats, std::move(hosts))},
                  {"latency_us", member(stats, {"latency_us", "total"})},
                  {"errors", latest_errors(errors["errors"])},
                  {"history", std::move(rows)},
                  {"peaks_per_frame", past["peaks_per_frame"]},
                  {"min_num_peak", minimum_ ? json(*minimum_) : json(nullptr)}});
  }
  sample.event = event_of(event);
  return sample;
}

}  // namespace peaknet::ctl
