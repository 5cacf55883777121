#include "control/history.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "shm/clock.hpp"
#include "shm/history.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

std::int64_t now_s() { return shm::realtime_ns() / 1'000'000'000; }

json rows(const std::vector<shm::Past>& points, std::int64_t unit_s) {
  json list = json::array();
  for (const shm::Past& past : points) {
    json row = {past.at * unit_s, past.span_ms, past.run};
    for (const auto count : past.counts) row.push_back(count);
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace

json history_columns() {
  json names = {"time", "span_ms", "run"};
  for (std::size_t i = 0; i < shm::kMeasures; ++i) names.push_back(shm::name(static_cast<shm::Measure>(i)));
  return names;
}

json latest_history(const shm::ControlSegment& control_segment, std::int64_t seconds) {
  const std::int64_t now = now_s();
  auto points = shm::seconds_of(control_segment.layout().history, now);
  std::erase_if(points, [&](const shm::Past& past) { return now - past.at >= seconds; });
  return rows(points, 1);
}

json peak_histogram(const shm::ControlSegment& control_segment) {
  const auto counts = control_segment.layout().peaks.copy();
  json from = json::array();
  for (std::size_t i = 0; i < counts.size(); ++i) from.push_back(shm::PeakHistogram::lower_edge(i));
  return {{"from", std::move(from)}, {"frames", counts}};
}

json history_document(const shm::ControlSegment& control_segment, std::optional<std::int64_t> seconds) {
  const auto& history = control_segment.layout().history;
  const std::int64_t now = now_s();
  json document = {
      {"schema", "peaknet.history/1"},
      {"instance", control_segment.instance()},
      {"now", now},
      {"columns", history_columns()},
      {"seconds", seconds ? latest_history(control_segment, *seconds) : rows(shm::seconds_of(history, now), 1)},
      {"peaks_per_frame", peak_histogram(control_segment)}};
  if (!seconds) document["minutes"] = rows(shm::minutes_of(history, now), 60);
  return document;
}

}  // namespace peaknet::control
