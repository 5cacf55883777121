#include "ctl/tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/accounts.hpp"
#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

std::string bar(double used, double slots, std::size_t cells) {
  const double share = slots > 0 ? std::clamp(used / slots, 0.0, 1.0) : 0.0;
  const auto full = static_cast<std::size_t>(std::ceil(share * static_cast<double>(cells)));
  return std::string(full, '#') + std::string(cells - full, '.');
}

// OK, or what is wrong with the counters.
std::string balance(const json& frames) {
  if (!member(frames, {"settled"}).is_boolean()) return "-";
  if (!member(frames, {"settled"}).get<bool>()) return "unsettled (frames moved while it was read)";
  const std::string off = count(frames, {"imbalance"});
  return off == "0" ? "OK" : "BROKEN, " + off + " frames unaccounted for";
}

// Of the frames whose end a writer decided.
std::string hit_rate(const json& frames) {
  const double hits = number(frames, {"written"}), all = hits + number(frames, {"filtered"});
  return all > 0 ? rounded(100 * hits / all) + " %" : "-";
}

// A note is the file's name, or a sentence about why there is none.
bool is_sentence(const std::string& note) { return note.find(' ') != std::string::npos; }

// By the accounts of this machine; a number that has no name here stays one.
std::string user_of(const json& participant) {
  const json& uid = member(participant, {"uid"});
  const auto name = uid.is_number_integer() && uid >= 0 ? user_name(uid.get<uid_t>()) : std::nullopt;
  return name.value_or(identifier(participant, {"uid"}));
}

}  // namespace

std::string queue_table(const json& document, std::size_t width) {
  const std::size_t cells = std::clamp<std::size_t>(width, 70, 100) - 60;
  Table table({{"WHERE", true}, {"FRAMES"}, {"OF", false, 1}, {"USED", true, 2}, {"MEANING", true, 3}});
  constexpr std::array<std::array<const char*, 2>, 4> kQueues = {{{"q1", "waiting for a device"},
                                                                  {"devices", "on a device"},
                                                                  {"q2", "waiting for the writer"},
                                                                  {"writers", "being written to disk"}}};
  for (const auto& [queue, meaning] : kQueues) {
    table.add({queue, count(document, {"queues", queue}), count(document, {"pool", "slots"}),
               bar(number(document, {"queues", queue}), number(document, {"pool", "slots"}), cells), meaning});
  }
  return table.str(width);
}

Table device_table(const json& document, bool whole) {
  std::vector<Table::Column> columns = {{"DEVICE", true, 0, 6}, {"STATE", true},         {"DEPTH", false, 3},
                                        {"BATCH", false, 3},    {"IN FLIGHT", false, 2}, {"FRAMES", false, 1}};
  if (whole) {
    const std::array<Table::Column, 4> more = {
        {{"BATCHES", false, 5}, {"PADDED", false, 7}, {"ERRORS", false, 4}, {"COPIES", true, 6, 6}}};
    columns.insert(columns.end(), more.begin(), more.end());
  }
  Table table(std::move(columns));
  for (const json& device : member(document, {"devices"})) {
    std::vector<std::string> cells = {text(device, {"name"}),       text(device, {"state"}),
                                      count(device, {"depth"}),     count(device, {"batch"}),
                                      count(device, {"in_flight"}), count(device, {"frames"})};
    if (whole) {
      for (const char* number : {"batches", "padded_rows", "model_errors"}) cells.push_back(count(device, {number}));
      cells.push_back(text(device, {"h2d_mode"}));
    }
    table.add(std::move(cells), text(device, {"error"}));
  }
  return table;
}

Table producer_table(const json& document) {
  Table table({{"PRODUCER", true, 0, 10},
               {"NUMBER", false, 1},
               {"PID", false, 2},
               {"USER", true, 5},
               {"COMMITTED"},
               {"REFUSED", false, 1},
               {"BLOCKED", false, 3},
               {"SINCE (UTC)", true, 4}});
  for (const json& p : member(document, {"producers"})) {
    const bool known = member(p, {"blocked_ns"}).is_number();
    table.add({text(p, {"label"}), identifier(p, {"number"}), identifier(p, {"pid"}), user_of(p),
               count(p, {"committed"}), count(p, {"refused"}),
               known ? span_of_us(number(p, {"blocked_ns"}) / 1e3) : "-", moment(p, {"since"})});
  }
  return table;
}

Table writer_table(const json& document) {
  const json& writers = member(document, {"writers"});
  const bool counted = writers.is_array() && !writers.empty() && member(writers.front(), {"written"}).is_number();
  std::vector<Table::Column> columns = {{"WRITER", true, 0, 14}, {"PID", false, 3}, {"HELD", false, 2}};
  if (counted) {
    columns.insert(columns.begin() + 1, Table::Column{"NUMBER", false, 4});
    const std::array<Table::Column, 3> more = {{{"WRITTEN", false, 1}, {"FILTERED", false, 1}, {"FILES", false, 5}}};
    columns.insert(columns.end(), more.begin(), more.end());
  }
  columns.push_back({"DISK FREE", false, 2});
  columns.push_back({"FILE", true, 1, 24});
  Table table(std::move(columns));
  for (const json& w : writers) {
    const std::string file = text(w, {counted ? "note" : "file"});
    std::vector<std::string> cells = {text(w, {"label"}), identifier(w, {"pid"}), count(w, {"held"})};
    if (counted) {
      cells.insert(cells.begin() + 1, identifier(w, {"number"}));
      for (const char* number : {"written", "filtered", "files"}) cells.push_back(count(w, {number}));
    }
    cells.push_back(bytes(w, {"output_free_bytes"}));
    cells.push_back(is_sentence(file) ? "-" : file);
    table.add(std::move(cells), is_sentence(file) ? file : "");
  }
  return table;
}

Table latency_table(const json& document) {
  Table table({{"LATENCY", true}, {"P50"}, {"P95", false, 2}, {"P99"}, {"MAX", false, 1}, {"FRAMES", false, 3}});
  for (const char* stage : {"q1_wait", "infer", "q2_wait", "write", "total"}) {
    const json& entry = member(document, {"latency_us", stage});
    const bool any = number(entry, {"count"}) > 0;
    const auto span = [&](const char* which) { return any ? span_of_us(number(entry, {which})) : std::string("-"); };
    table.add({stage, span("p50"), span("p95"), span("p99"), span("max"), count(entry, {"count"})});
  }
  return table;
}

std::string latency_line(const json& document, std::size_t width) {
  std::vector<std::string> items;
  for (const char* stage : {"q1_wait", "infer", "q2_wait", "write", "total"}) {
    const json& entry = member(document, {"latency_us", stage});
    items.push_back(std::string(stage) + " " +
                    (number(entry, {"count"}) > 0 ? span_of_us(number(entry, {"p50"})) : std::string("-")));
  }
  return labelled("latency", items, width);
}

std::string frame_lines(const json& frames, std::size_t width) {
  return labelled("frames",
                  {"committed " + count(frames, {"committed"}), "inferred " + count(frames, {"inferred"}),
                   "in flight " + count(frames, {"in_flight"}), "dropped " + by_cause(member(frames, {"dropped"})),
                   "failed " + by_cause(member(frames, {"failed"})), "balance " + balance(frames)},
                  width) +
         labelled("hits",
                  {"written " + count(frames, {"written"}),
                   "filtered " + count(frames, {"filtered"}) + " (too few peaks)", "hit rate " + hit_rate(frames)},
                  width);
}

std::string rate_line(const json& document, std::size_t width) {
  const auto per_s = [&](const char* rate) { return rounded(number(document, {"rates", rate})) + "/s"; };
  return labelled("rates",
                  {"in " + per_s("committed_per_s"), "inferred " + per_s("inferred_per_s"),
                   "hits written " + per_s("written_per_s"), "filtered " + per_s("filtered_per_s")},
                  width);
}

std::string health_lines(const json& health, std::size_t width) {
  const std::string state = text(health, {"state"});
  const json& reasons = member(health, {"reasons"});
  if (!reasons.is_array() || reasons.empty()) return labelled("health", {state}, width);
  const std::size_t more = reasons.size() - 1;
  return labelled("health",
                  {upper(state) + ": " + text(reasons.front(), {"what"}) +
                   (more > 0 ? " (and " + std::to_string(more) + " more: status --check)" : "")},
                  width) +
         labelled("", {"try: " + text(reasons.front(), {"remedy"})}, width);
}

std::string shape_of(const json& pool) {
  std::string shape;
  for (const json& side : member(pool, {"shape"})) shape += (shape.empty() ? "" : ",") + count(side, {});
  return "[" + shape + "]";
}

std::vector<std::string> pool_facts(const json& document) {
  const json& pool = member(document, {"pool"});
  if (!pool.is_object()) return {"none"};
  return {count(pool, {"slots"}) + " slots of " + text(pool, {"dtype"}) + " " + shape_of(pool),
          "epoch " + count(pool, {"epoch"}), "when full: " + text(pool, {"full"})};
}

}  // namespace peaknet::ctl
