#include "daemon/supervisor/tune_report.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"

namespace peaknet::supervisor {
namespace {

constexpr double kAsGood = 0.97;  // of the highest rate

struct Choice {
  std::uint32_t batch = 0, depth = 0;
};
struct Candidate {
  std::uint32_t events;
  const std::vector<double>* rates;
};

// The smallest batch, then the smallest depth, that is nearly as fast as the fastest.
Choice choose(const std::vector<Candidate>& candidates) {
  double best = 0;
  for (const auto& one : candidates) {
    for (const double rate : *one.rates) best = std::max(best, rate);
  }
  for (const auto& one : candidates) {
    for (std::uint32_t depth = 1; depth <= one.rates->size(); ++depth) {
      if ((*one.rates)[depth - 1] >= kAsGood * best) return {one.events, depth};
    }
  }
  return {};
}

std::vector<double> over(const std::vector<double>& rates, double sequential) {
  std::vector<double> ratios;
  if (sequential <= 0) return ratios;  // not known
  for (const double rate : rates) ratios.push_back(rate / sequential);
  return ratios;
}

nlohmann::json to_json(const TuneRow& row) {
  nlohmann::json json = {
      {"events", row.events},
      {"rows", row.rows},
      {"latency_ms",
       {{"runs", row.latency.runs},
        {"mean", row.latency.mean},
        {"median", row.latency.median},
        {"std", row.latency.stddev},
        {"min", row.latency.min},
        {"p50", row.latency.median},
        {"p95", row.latency.p95},
        {"p99", row.latency.p99},
        {"max", row.latency.max}}},
      {"stages_ms", {{"upload", row.upload_ms}, {"compute", row.compute_ms}, {"download", row.download_ms}}},
      {"replayed", row.replayed},
      {"sequential_events_per_s", row.sequential},
      {"events_per_s", row.events_per_s},
      {"events_per_s_std", row.spread},
      {"speed_up", over(row.events_per_s, row.sequential)},
      {"memory_used", row.memory_used},
      {"within_memory", row.within_memory}};
  if (row.detour) json["detour_ms"] = {{"upload", row.detour->taken_ms}, {"straight_upload", row.detour->straight_ms}};
  return json;
}

nlohmann::json to_json(const TuneReport& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& row : report.rows) rows.push_back(to_json(row));
  nlohmann::json choice;  // null: nothing was measured
  if (!report.rows.empty()) choice = {{"batch", report.batch}, {"depth", report.depth}};
  return {{"device", report.device},
          {"model", report.model},
          {"h2d_mode", report.h2d_mode},
          {"detour", report.detour},
          {"clock", report.clock},
          {"graphs", report.graphs},
          {"slow_precision", report.slow_precision},
          {"model_bytes", report.model_bytes},
          {"memory_total", report.memory_total},
          {"memory_free", report.memory_free},
          {"batches", std::move(rows)},
          {"stopped", report.stopped},
          {"recommended", choice}};
}

nlohmann::json to_json(const TuneSum& sum) {
  nlohmann::json each = nlohmann::json::array();
  for (std::size_t i = 0; i < sum.devices.size(); ++i)
    each.push_back({{"device", sum.devices[i]}, {"events_per_s", sum.of_each[i]}});
  return {{"events", sum.events},
          {"events_per_s", sum.at_once},
          {"speed_up", over(sum.at_once, sum.sequential)},
          {"alone_events_per_s", sum.alone},
          {"devices", std::move(each)}};
}

std::string cell(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%9.3g", value);
  return text.data();
}
std::string times(double ratio) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), " %5.2fx", ratio);
  return text.data();
}
std::string count(std::uint32_t events) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%6u", events);
  return text.data();
}
std::string rates(const std::vector<double>& values, double sequential) {
  std::string out;
  for (const double value : values) out += " " + cell(value) + (sequential > 0 ? times(value / sequential) : "");
  return out;
}

std::string head_of(const TuneMemory& memory) {
  return "images from " + std::to_string(memory.slots) + " slots, " + human_bytes(memory.bytes) + ", in " +
         (memory.shared ? "shared memory" : "memory of this process") +
         (memory.note.empty() ? ", as a daemon has them" : ": " + memory.note) + "\n";
}

std::string table_of(const TuneReport& report) {
  std::string out = "device " + report.device + ", model " + report.model + ", " + human_bytes(report.memory_free) +
                    " of " + human_bytes(report.memory_total) + " free; the model took " +
                    human_bytes(report.model_bytes) + "\n";
  if (!report.slow_precision.empty()) out += "note: " + report.slow_precision + "\n";
  if (report.rows.empty()) return out + "nothing was measured\n";
  out += "          latency of one batch, ms, by the clock of the " + report.clock + "\n" +
         "events  runs      mean   std dev      min   median      p95      p99      max  activations\n";
  for (const auto& row : report.rows) {
    out += count(row.events) + count(row.latency.runs);
    for (const double value : {row.latency.mean, row.latency.stddev, row.latency.min, row.latency.median,
                               row.latency.p95, row.latency.p99, row.latency.max})
      out += cell(value);
    out += "  " + human_bytes(row.memory_used - std::min(row.memory_used, report.model_bytes)) +
           (row.within_memory ? "" : ", over engine.memory_fraction") + "\n";
  }
  out +=
      "          events/s, and how many times the sequential form (one buffer, a wait after each step)\n"
      "events sequential          depth 1          depth 2          depth 3\n";
  for (const auto& row : report.rows)
    out += count(row.events) + "  " + cell(row.sequential) + rates(row.events_per_s, row.sequential) + "\n";
  if (!report.detour.empty()) out += "images go a slower way (" + report.h2d_mode + "): " + report.detour + "\n";
  for (const auto& row : report.rows) {
    if (!row.detour) continue;
    out += count(row.events) + "  upload" + cell(row.detour->taken_ms) + " ms, straight it would be" +
           cell(row.detour->straight_ms) + " ms\n";
  }
  if (!report.stopped.empty()) out += "larger batches were not tried: " + report.stopped + "\n";
  out += report.batch == 0 ? "nothing fits into engine.memory_fraction\n"
                           : "recommended: engine.batch: " + std::to_string(report.batch) +
                                 ", engine.depth: " + std::to_string(report.depth) + "\n";
  return out;
}

std::string table_of_sums(const Tuning& tuning) {
  std::string out = std::to_string(tuning.sums.front().devices.size()) +
                    " devices at once: events/s of all, and how many times the sequential form on one\n"
                    "events          depth 1          depth 2          depth 3 | each alone, added up\n";
  for (const auto& sum : tuning.sums)
    out += count(sum.events) + rates(sum.at_once, sum.sequential) + " |" + rates(sum.alone, 0) + "\n";
  if (tuning.batch == 0) {
    out += "nothing fits into engine.memory_fraction of all devices\n";
  } else {
    out += "recommended for all: engine.batch: " + std::to_string(tuning.batch) +
           ", engine.depth: " + std::to_string(tuning.depth) + "\n";
  }
  return out;
}

}  // namespace

void recommend(TuneReport& report) {
  std::vector<Candidate> candidates;
  for (const auto& row : report.rows) {
    if (row.within_memory) candidates.push_back({row.events, &row.events_per_s});
  }
  const Choice choice = choose(candidates);
  report.batch = choice.batch;
  report.depth = choice.depth;
}

void recommend(Tuning& tuning) {
  std::vector<Candidate> candidates;
  for (const auto& sum : tuning.sums) {
    const bool fits = std::all_of(tuning.devices.begin(), tuning.devices.end(), [&](const TuneReport& report) {
      return std::any_of(report.rows.begin(), report.rows.end(),
                         [&](const TuneRow& row) { return row.events == sum.events && row.within_memory; });
    });
    if (fits) candidates.push_back({sum.events, &sum.at_once});
  }
  const Choice choice = choose(candidates);
  tuning.batch = choice.batch;
  tuning.depth = choice.depth;
}

nlohmann::json to_json(const Tuning& tuning) {
  nlohmann::json devices = nlohmann::json::array();
  for (const auto& report : tuning.devices) devices.push_back(to_json(report));
  nlohmann::json document = {{"schema", "peaknet.tune/1"},
                             {"complete", tuning.outcome.ok()},
                             {"memory",
                              {{"kind", tuning.memory.shared ? "shared" : "process"},
                               {"slots", tuning.memory.slots},
                               {"bytes", tuning.memory.bytes},
                               {"note", tuning.memory.note}}},
                             {"devices", std::move(devices)}};
  if (!tuning.outcome) document["ended"] = {{"id", tuning.outcome.error().id}, {"what", tuning.outcome.error().what}};
  if (tuning.sums.empty()) return document;
  nlohmann::json sums = nlohmann::json::array();
  for (const auto& sum : tuning.sums) sums.push_back(to_json(sum));
  document["at_once"] = {{"batches", std::move(sums)},
                         {"recommended", {{"batch", tuning.batch}, {"depth", tuning.depth}}}};
  return document;
}

std::string to_table(const Tuning& tuning) {
  std::string out = head_of(tuning.memory);
  for (const auto& report : tuning.devices) out += table_of(report);
  if (!tuning.sums.empty()) out += table_of_sums(tuning);
  if (!tuning.outcome) out += "ended early, the rest was not measured: " + tuning.outcome.error().what + "\n";
  return out;
}

}  // namespace peaknet::supervisor
