#include "ctl/watch.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "control/documents.hpp"
#include "control/protocol.hpp"
#include "ctl/commands.hpp"
#include "ctl/page.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr unsigned kRowsPerHeader = 20;

double number(const json& document, const char* pointer) {
  const json::json_pointer at(pointer);
  return document.contains(at) && document.at(at).is_number() ? document.at(at).get<double>() : 0.0;
}

// All causes of "dropped" or "failed" together.
double all_of(const json& document, const char* pointer) {
  double sum = 0;
  const json::json_pointer at(pointer);
  if (!document.contains(at) || !document.at(at).is_object()) return 0;
  for (const auto& [cause, value] : document.at(at).items()) sum += value.is_number() ? value.get<double>() : 0.0;
  return sum;
}

// "14:21:03" of "2026-03-01T14:21:03.250Z".
std::string clock_of(const json& document) {
  const auto time = document.find("time");
  if (time == document.end() || !time->is_string()) return "-";
  const auto& text = time->get_ref<const std::string&>();
  return text.size() >= 19 ? text.substr(11, 8) : "-";
}

std::string state_of(const json& document) {
  const auto state = document.find("state");
  return state != document.end() && state->is_string() ? state->get<std::string>() : "-";
}

}  // namespace

std::string watch_header() {
  return "TIME          IN/s     DEV/s     OUT/s   Q1%   Q2%   INFL    p50 ms    p99 ms    DROP/s    FAIL/s  STATE\n";
}

std::string watch_row(const json& before, const json& now, double seconds) {
  const auto rate = [&](double then, double later) { return std::max(0.0, later - then) / std::max(seconds, 1e-3); };
  const auto per_s = [&](const char* pointer) { return rate(number(before, pointer), number(now, pointer)); };
  const double slots = std::max(1.0, number(now, "/pool/slots"));
  std::array<char, 192> line{};
  std::snprintf(line.data(), line.size(), "%-8s %9.1f %9.1f %9.1f %5.0f %5.0f %6.0f %9.1f %9.1f %9.1f %9.1f  %s\n",
                clock_of(now).c_str(), per_s("/lifetime/committed"), per_s("/lifetime/inferred"),
                per_s("/lifetime/written") + per_s("/lifetime/filtered"), 100 * number(now, "/queues/q1") / slots,
                100 * number(now, "/queues/q2") / slots, number(now, "/lifetime/in_flight"),
                number(now, "/latency_us/total/p50") / 1e3, number(now, "/latency_us/total/p99") / 1e3,
                rate(all_of(before, "/lifetime/dropped"), all_of(now, "/lifetime/dropped")),
                rate(all_of(before, "/lifetime/failed"), all_of(now, "/lifetime/failed")), state_of(now).c_str());
  return line.data();
}

ExitCode watch(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  json before;
  Clock::time_point looked;
  for (unsigned row = 0; options.count == 0 || row <= options.count; ++row) {
    const auto page = Page::open(instance);
    if (!page) return show_error(page.error(), options.json, out, err);
    json now = control::stats_document(*page->directory, page->pool.get(), control::kSourcePage);
    const auto at = Clock::now();
    if (row > 0) {  // the first look has nothing to be compared with
      if (options.json) {
        out << control::to_text(now, -1) << '\n';
      } else {
        if (row % kRowsPerHeader == 1) out << watch_header();
        out << watch_row(before, now, std::chrono::duration<double>(at - looked).count());
      }
      out.flush();
      if (!out) return ExitCode::failed;  // who read it has gone
      if (row == options.count) break;
    }
    before = std::move(now);
    looked = at;
    std::this_thread::sleep_until(at + options.every);
  }
  return ExitCode::ok;
}

}  // namespace peaknet::ctl
