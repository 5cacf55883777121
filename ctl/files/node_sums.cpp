#include "ctl/files/node_sums.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "control/history.hpp"
#include "control/protocol.hpp"
#include "ctl/hosts.hpp"
#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::int64_t kCurrent = 1, kOther = 0;  // runs in a history of many nodes

// Of what is wrong: more is worse.
int weight(const std::string& health) { return health == "failing" ? 2 : health == "degraded" ? 1 : 0; }

double all_of(const json& counts) {
  if (counts.is_number()) return counts.get<double>();
  double sum = 0;
  if (counts.is_object()) {
    for (const json& part : counts) sum += all_of(part);
  }
  return sum;
}

// Of all of a node's writers.
json least_free(const json& status) {
  json least;
  for (const json& writer : member(status, {"writers"})) {
    const json& free = member(writer, {"output_free_bytes"});
    if (free.is_number() && (least.is_null() || free < least)) least = free;
  }
  return least;
}

json share_of_slots(const json& stats) {
  const double slots = number(stats, {"pool", "slots"});
  return slots > 0 ? json(all_of(member(stats, {"queues"})) / slots) : json(nullptr);
}

json row_of(const NodeAnswer& answer) {
  json row = {{"host", answer.host}, {"health", nullptr},    {"state", nullptr},    {"reason", nullptr},
              {"remedy", nullptr},   {"rates", nullptr},     {"hit_rate", nullptr}, {"share", nullptr},
              {"lost", nullptr},     {"free_bytes", nullptr}};
  if (answer.silent) {
    row["health"] = "failing";
    row["reason"] = "does not answer: " + answer.silent->what;
    row["remedy"] = answer.silent->remedy;
    return row;
  }
  if (answer.said() == nullptr) return row;
  const json &status = answer.said()->status, &frames = member(status, {"frames"});
  const json& reasons = member(status, {"health", "reasons"});
  row["health"] = member(status, {"health", "state"});
  row["state"] = member(status, {"state"});
  if (reasons.is_array() && !reasons.empty()) {
    row["reason"] = member(reasons.front(), {"what"});
    row["remedy"] = member(reasons.front(), {"remedy"});
  }
  row["rates"] = member(status, {"rates"});
  row["hit_rate"] = member(status, {"hit_rate"});
  row["share"] = share_of_slots(answer.said()->stats);
  row["lost"] =
      all_of(member(frames, {"dropped"})) + all_of(member(frames, {"failed"})) + all_of(member(frames, {"refused"}));
  row["free_bytes"] = least_free(status);
  return row;
}

json with_host(const json& list, const std::string& host) {
  json named = json::array();
  for (json each : list) {
    if (each.is_object()) each["host"] = host;
    named.push_back(std::move(each));
  }
  return named;
}

void append(json& to, const json& list) {
  if (!to.is_array()) to = json::array();
  for (const json& each : list) to.push_back(each);
}

// Of each stage the times of the slowest node.
void take_slowest(json& to, const json& latencies) {
  if (!latencies.is_object()) return;
  for (const auto& [stage, times] : latencies.items()) {
    if (to[stage].is_null() || number(times, {"p99"}) > number(to[stage], {"p99"})) to[stage] = times;
  }
}

void add_pool(json& to, const json& pool) {
  if (!pool.is_object()) return;
  if (to.is_null()) {
    to = pool;
    return;
  }
  to["slots"] = number(to, {"slots"}) + number(pool, {"slots"});
  if (member(to, {"shape"}) != member(pool, {"shape"})) to["shape"] = json::array();
}

void add_indexing(json& to, const json& indexing) {
  if (!indexing.is_object()) return;
  if (to.is_null()) {
    to = indexing;
    return;
  }
  for (const char* key : {"frames", "indexed", "crystals"}) add_numbers(to[key], member(indexing, {key}));
  const double frames = number(to, {"frames"});
  to["rate"] = frames > 0 ? json(number(to, {"indexed"}) / frames) : json(nullptr);
  to["age_s"] = std::max(number(to, {"age_s"}), number(indexing, {"age_s"}));
  if (member(indexing, {"followed"}) == false) to["followed"] = false;
  to["cell"] = json::object();  // of several streams there is no one mean
}

json rows_of(const PastRows& rows) {
  json list = json::array();
  for (const auto& [time, row] : rows) list.push_back(row);
  return list;
}

void add_rows(PastRows& to, const PastRows& rows, std::int64_t current, std::int64_t since) {
  for (auto from = rows.lower_bound(since); from != rows.end(); ++from) {
    const PastRow& row = from->second;
    PastRow& sum = to[from->first];
    sum[0] = row[0];
    sum[1] = std::max(sum[1], row[1]);
    sum[2] = std::max(sum[2], row[2] == current ? kCurrent : kOther);
    for (std::size_t i = 3; i < row.size(); ++i) sum[i] += row[i];
  }
}

}  // namespace

json node_rows(const std::vector<NodeAnswer>& answers) {
  std::vector<json> rows;
  for (const NodeAnswer& answer : answers) rows.push_back(row_of(answer));
  std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
    const auto rank = [](const json& row) {
      return std::tuple(weight(text(row, {"health"})), number(row, {"share"}), number(row, {"lost"}));
    };
    return rank(a) > rank(b);
  });
  return rows;
}

json health_of_nodes(const std::vector<NodeAnswer>& answers) {
  std::vector<json> reasons;
  std::string worst = "healthy";
  const auto name = [&](const std::string& host, json reason) {
    if (weight(text(reason, {"state"})) > weight(worst)) worst = text(reason, {"state"});
    reason["what"] = host + ": " + text(reason, {"what"});
    reason["host"] = host;
    reasons.push_back(std::move(reason));
  };
  for (const NodeAnswer& answer : answers) {
    if (answer.silent) {
      json reason = control::to_json(*answer.silent);
      reason["state"] = "failing";
      reason["what"] = "does not answer: " + answer.silent->what;
      name(answer.host, std::move(reason));
    }
    if (answer.said() == nullptr) continue;
    for (const json& reason : member(answer.said()->status, {"health", "reasons"})) name(answer.host, reason);
  }
  std::stable_sort(reasons.begin(), reasons.end(), [](const json& a, const json& b) {
    return weight(text(a, {"state"})) > weight(text(b, {"state"}));
  });
  return {{"state", worst}, {"reasons", reasons}};
}

json stats_of_nodes(const std::vector<NodeAnswer>& answers) {
  json sum;
  for (const NodeAnswer& answer : answers) {
    if (answer.said() == nullptr) continue;
    const json& stats = answer.said()->stats;
    for (const char* key : {"frames", "lifetime", "queues", "slots", "rates"})
      add_numbers(sum[key], member(stats, {key}));
    for (const char* key : {"devices", "producers", "writers"})
      append(sum[key], with_host(member(stats, {key}), answer.host));
    take_slowest(sum["latency_us"], member(stats, {"latency_us"}));
    add_pool(sum["pool"], member(stats, {"pool"}));
    add_indexing(sum["indexing"], member(stats, {"indexing"}));
    const std::string state = text(stats, {"state"});
    if (text(sum, {"state"}) != "running") sum["state"] = state;  // as soon as one is
  }
  if (sum.is_null()) return sum;
  const double hits = number(sum, {"frames", "written"}), judged = hits + number(sum, {"frames", "filtered"});
  sum["hit_rate"] = judged > 0 ? json(hits / judged) : json(nullptr);
  return sum;
}

json run_of_nodes(const std::vector<NodeAnswer>& answers) {
  json all;
  for (const NodeAnswer& answer : answers) {
    if (answer.said() == nullptr) continue;
    const json& run = member(answer.said()->status, {"run"});
    if (all.is_null()) {
      all = run;
    } else if (text(all, {"id"}) != text(run, {"id"})) {
      all["id"] = "of several ids";
    }
    // Times of one form: the earliest begin and the latest end, which is none while one goes on.
    if (member(run, {"started"}).is_string() &&
        (!member(all, {"started"}).is_string() || member(run, {"started"}) < all["started"]))
      all["started"] = run["started"];
    if (member(run, {"ended"}).is_null()) all["ended"] = nullptr;
  }
  if (all.is_object()) all["ordinal"] = kCurrent;
  return all;
}

json disk_of_nodes(const std::vector<NodeAnswer>& answers) {
  struct Folder {
    double free = 0, rate = 0;
    bool known = true;  // the rate of all
  };
  std::vector<Folder> folders;
  constexpr double kSame = 0.01;
  for (const NodeAnswer& answer : answers) {
    const json free = answer.said() ? least_free(answer.said()->status) : json();
    if (!free.is_number()) continue;
    const double bytes = free.get<double>();
    auto found = std::find_if(folders.begin(), folders.end(), [&](const Folder& folder) {
      return std::abs(folder.free - bytes) <= kSame * std::max(folder.free, bytes);
    });
    if (found == folders.end()) found = folders.insert(folders.end(), Folder{bytes});
    found->free = std::min(found->free, bytes);
    const json& rate = member(answer.said()->status, {"rates", "file_bytes_per_s"});
    found->known = found->known && rate.is_number();
    found->rate += rate.is_number() ? rate.get<double>() : 0;
  }
  const auto left = [](const Folder& folder) { return folder.rate > 1 ? folder.free / folder.rate : INFINITY; };
  const auto worst = std::min_element(folders.begin(), folders.end(), [&](const Folder& a, const Folder& b) {
    return std::pair(left(a), a.free) < std::pair(left(b), b.free);
  });
  if (worst == folders.end()) return {{"free_bytes", nullptr}, {"bytes_per_s", nullptr}, {"left_s", nullptr}};
  return {{"free_bytes", worst->free},
          {"bytes_per_s", worst->known ? json(worst->rate) : json(nullptr)},
          {"left_s", worst->rate > 1 ? json(left(*worst)) : json(nullptr)}};
}

json errors_of_nodes(const std::vector<NodeAnswer>& answers) {
  std::vector<json> all;
  for (const NodeAnswer& answer : answers) {
    if (answer.said() == nullptr) continue;
    for (json error : member(answer.said()->errors, {"errors"})) {
      error["host"] = answer.host;
      error["from"] = answer.host + " " + text(error, {"from"});
      all.push_back(std::move(error));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const json& a, const json& b) { return text(a, {"last"}) > text(b, {"last"}); });
  return {{"schema", "peaknet.errors/1"}, {"errors", all}};
}

json history_of_nodes(const std::vector<NodeAnswer>& answers, std::int64_t now, std::optional<std::int64_t> since) {
  PastRows seconds, minutes;
  json from = json::array();
  std::vector<std::int64_t> frames;
  for (const NodeAnswer& answer : answers) {
    if (answer.last == nullptr) continue;
    const auto current = static_cast<std::int64_t>(number(answer.last->status, {"run", "ordinal"}));
    add_rows(seconds, answer.last->seconds, current, since.value_or(now - 599));
    if (!since) add_rows(minutes, answer.last->minutes, current, now - 86400);
    const json& peaks = answer.last->peaks_per_frame;
    const json& counts = member(peaks, {"frames"});
    if (from.empty() && counts.is_array()) {
      from = member(peaks, {"from"});
      frames.assign(counts.size(), 0);
    }
    if (!counts.is_array() || member(peaks, {"from"}) != from) continue;
    for (std::size_t i = 0; i < frames.size() && i < counts.size(); ++i)
      frames[i] += counts[i].is_number_integer() ? counts[i].get<std::int64_t>() : 0;
  }
  json document = {{"schema", "peaknet.history/1"},
                   {"now", now},
                   {"columns", control::history_columns()},
                   {"seconds", rows_of(seconds)},
                   {"peaks_per_frame", {{"from", std::move(from)}, {"frames", frames}}}};
  if (!since) document["minutes"] = rows_of(minutes);
  return document;
}

}  // namespace peaknet::ctl
