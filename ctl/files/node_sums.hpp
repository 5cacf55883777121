// What many nodes are together, from what each of them says: documents as one node has them. Pure functions, total:
// what a node of another version does not say is not in the sum.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "ctl/files/node_watch.hpp"

namespace peaknet::ctl {

// Each node as a row {host, health, state, reason, remedy, rates, hit_rate, share (of its slots that hold frames),
// lost, free_bytes}, null for what is not known; the worst first.
nlohmann::json node_rows(const std::vector<NodeAnswer>& answers);

// {state, reasons}, as `health` of a status; each reason names its node.
nlohmann::json health_of_nodes(const std::vector<NodeAnswer>& answers);

// A stats document: counters, queues, slots and rates added, latencies those of the slowest, participants and devices
// of all, each with `host`. Null where nobody answers.
nlohmann::json stats_of_nodes(const std::vector<NodeAnswer>& answers);

// The run that all have, or one without an id where they differ; null where nobody answers.
nlohmann::json run_of_nodes(const std::vector<NodeAnswer>& answers);

// {free_bytes, bytes_per_s, left_s} of the folder that will be full first. Nodes whose free space is the same within a
// percent are taken for those of one file system, which they fill together.
nlohmann::json disk_of_nodes(const std::vector<NodeAnswer>& answers);

// The latest first, each with the node before `from`.
nlohmann::json errors_of_nodes(const std::vector<NodeAnswer>& answers);

// peaknet.history/1. The run of a row is 1 where it is the current one of its node, else 0. `since`: rows of that time
// and later alone, and no minutes.
nlohmann::json history_of_nodes(const std::vector<NodeAnswer>& answers, std::int64_t now,
                                std::optional<std::int64_t> since = std::nullopt);

}  // namespace peaknet::ctl
