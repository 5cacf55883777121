#include "ctl/watch_row.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/columns.hpp"
#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

// What happened between two looks.
struct Change {
  const json& before;
  const json& now;
  double seconds;

  double per_s(double then, double later) const { return std::max(0.0, later - then) / std::max(seconds, 1e-3); }
  double per_s(const char* counter) const {
    return per_s(number(before, {"lifetime", counter}), number(now, {"lifetime", counter}));
  }
  double all_per_s(const char* end) const {
    return per_s(total_of(member(before, {"lifetime", end})), total_of(member(now, {"lifetime", end})));
  }
  std::string share(const char* queue) const {
    return rounded(100 * number(now, {"queues", queue}) / std::max(1.0, number(now, {"pool", "slots"})), 0);
  }
  std::string hit_rate() const {
    const double hits = per_s("written"), all = hits + per_s("filtered");
    return all > 0 ? rounded(100 * hits / all, 0) : "-";
  }
  std::string latency(const char* quantile) const {
    const json& total = member(now, {"latency_us", "total"});
    return member(total, {quantile}).is_number() ? short_span_of_us(number(total, {quantile})) : "-";
  }
};

struct Column {
  const char* title;
  std::size_t width;
  int rank;  // columns with a lower rank are there first
  std::function<std::string(const Change&)> cell;
};

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {
      {"TIME", 8, 0, [](const Change& c) { return time_of_day(c.now, {"time"}); }},
      {"IN/s", 6, 1, [](const Change& c) { return compact(c.per_s("committed")); }},
      {"DEV/s", 6, 5, [](const Change& c) { return compact(c.per_s("inferred")); }},
      {"HIT/s", 6, 2, [](const Change& c) { return compact(c.per_s("written")); }},
      {"FILT/s", 6, 7, [](const Change& c) { return compact(c.per_s("filtered")); }},
      {"HIT%", 4, 4, [](const Change& c) { return c.hit_rate(); }},
      {"Q1%", 3, 4, [](const Change& c) { return c.share("q1"); }},
      {"Q2%", 3, 4, [](const Change& c) { return c.share("q2"); }},
      {"INFL", 5, 10,
       [](const Change& c) {
         return compact(number(c.now, {"lifetime", "in_flight"}));
       }},
      {"P50", 6, 8, [](const Change& c) { return c.latency("p50"); }},
      {"P99", 6, 6, [](const Change& c) { return c.latency("p99"); }},
      {"LOST/s", 6, 3, [](const Change& c) { return compact(c.all_per_s("dropped") + c.all_per_s("failed")); }},
      {"DROP/s", 6, 11, [](const Change& c) { return compact(c.all_per_s("dropped")); }},
      {"FAIL/s", 6, 11, [](const Change& c) { return compact(c.all_per_s("failed")); }},
  };
  return all;
}

constexpr std::size_t kState = 8;  // "starting", at the end

// Whole columns in the order of their ranks, as long as there is room.
std::vector<const Column*> fitting(std::size_t width) {
  std::vector<const Column*> ranked;
  for (const Column& column : columns()) ranked.push_back(&column);
  std::stable_sort(ranked.begin(), ranked.end(), [](auto* a, auto* b) { return a->rank < b->rank; });
  std::size_t used = kState;
  std::vector<const Column*> shown;
  for (const Column* column : ranked) {
    if (used + column->width + 1 > width) break;
    used += column->width + 1;
    shown.push_back(column);
  }
  std::sort(shown.begin(), shown.end());
  return shown;
}

std::string line(std::size_t width, const std::function<std::string(const Column&)>& cell, const std::string& state) {
  std::string out;
  for (const Column* column : fitting(width))
    out += padded_left(clipped(cell(*column), column->width), column->width) + ' ';
  return clipped(out + state, width) + '\n';
}

}  // namespace

std::string watch_header(std::size_t width) {
  return line(
      width, [](const Column& column) { return std::string(column.title); }, "STATE");
}

std::string watch_row(const json& before, const json& now, double seconds, std::size_t width) {
  const Change change{before, now, seconds};
  return line(
      width, [&](const Column& column) { return column.cell(change); }, text(now, {"state"}));
}

}  // namespace peaknet::ctl
