#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/accounts.hpp"
#include "base/columns.hpp"
#include "base/text.hpp"
#include "ctl/members.hpp"
#include "ctl/render.hpp"
#include "ctl/table.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

std::string paragraph(const std::string& text, std::size_t width, std::size_t indent) {
  return std::string(indent, ' ') + wrapped(text, width, indent, indent) + '\n';
}

// Instances with one problem are named together: a hundred that another version left are one line.
std::string problems_of(const json& instances, std::size_t width) {
  constexpr std::size_t kNamed = 3;
  std::vector<std::pair<std::string, std::vector<std::string>>> problems;
  for (const json& instance : instances) {
    const std::string name = text(instance, {"name"});
    std::string problem = text(instance, {"problem"});
    if (problem == "-") continue;
    if (const auto at = problem.find("'" + name + "'"); at != std::string::npos)
      problem.replace(at, name.size() + 2, "NAME");
    auto same = std::find_if(problems.begin(), problems.end(), [&](const auto& one) { return one.first == problem; });
    if (same == problems.end()) same = problems.insert(same, {problem, {}});
    same->second.push_back(name);
  }
  std::string out;
  for (const auto& [problem, names] : problems) {
    std::string who;
    for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) who += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > kNamed) who += " and " + std::to_string(names.size() - kNamed) + " more";
    out += wrapped(who + ": " + problem, width, 2) + '\n';
  }
  return out;
}

}  // namespace

std::string render_health(const json& document, std::size_t width) {
  std::string out =
      wrapped(text(document, {"health"}) + ": " + text(document, {"instance"}) + " is " + text(document, {"state"}),
              width) +
      '\n';
  for (const json& reason : member(document, {"reasons"})) {
    out += paragraph(text(reason, {"state"}) + "  " + text(reason, {"what"}) + "  [" + text(reason, {"id"}) + "]",
                     width, 2);
    out += paragraph("try: " + text(reason, {"remedy"}), width, 4);
  }
  return out;
}

std::string render_doctor(const json& document, std::size_t width) {
  constexpr std::size_t kSubject = 15, kMark = 6;
  if (member(document, {"findings"}).empty()) return "nothing was looked at\n";
  std::string out;
  for (const json& finding : member(document, {"findings"})) {
    const std::string verdict = text(finding, {"verdict"});
    const std::string head = std::string(verdict == "good" ? "ok" : verdict == "warning" ? "WARN" : "BAD");
    const std::string begin = padded(head, kMark) + padded(text(finding, {"subject"}), kSubject) + " ";
    out += wrapped(begin + text(finding, {"text"}), width, kMark) + '\n';
    if (const std::string remedy = text(finding, {"remedy"}); remedy != "-")
      out += paragraph("try: " + remedy, width, kMark);
  }
  return out;
}

std::string render_errors(const json& document, std::size_t width) {
  const json& errors = member(document, {"errors"});
  if (errors.empty()) return "nothing went wrong since the instance was made\n";
  std::string out;
  for (const json& kind : errors) {
    const std::string times = count(kind, {"count"}) + (number(kind, {"count"}) == 1 ? " time" : " times");
    out += wrapped(moment(kind, {"last"}) + "  " + text(kind, {"id"}) + "  " + times + " since " +
                       moment(kind, {"first"}) + " UTC, last from " + text(kind, {"from"}),
                   width, 4) +
           '\n' + paragraph(with_user_names(text(kind, {"text"})), width, 4);
  }
  return out;
}

std::string render_history(const json& document, std::size_t width) {
  Table table({{"MINUTE (UTC)", true},
               {"IN/s"},
               {"INFERRED/s", false, 2},
               {"WRITTEN/s", false, 1},
               {"FILTERED/s", false, 1},
               {"HITS"},
               {"DROPPED", false, 3},
               {"FAILED", false, 3},
               {"REFUSED", false, 4}});
  const json& columns = member(document, {"columns"});
  const json& minutes = member(document, {"minutes"});
  for (const json& row : minutes) {
    json of_minute;
    for (std::size_t i = 0; i < columns.size() && i < row.size(); ++i) {
      if (columns[i].is_string()) of_minute[columns[i].get<std::string>()] = row[i];
    }
    const double seconds = number(of_minute, {"span_ms"}) / 1e3;
    const double hits = number(of_minute, {"written"});
    const double judged = hits + number(of_minute, {"filtered"});
    const auto rate = [&](const char* name) {
      return seconds > 0 ? compact(number(of_minute, {name}) / seconds) : std::string("-");
    };
    const auto minute = static_cast<std::int64_t>(number(of_minute, {"time"})) / 60 % (24 * 60);
    std::string time = std::to_string(minute / 60 + 100).substr(1) + ":" + std::to_string(minute % 60 + 100).substr(1);
    table.add({std::move(time), rate("committed"), rate("inferred"), rate("written"), rate("filtered"),
               judged > 0 ? rounded(100 * hits / judged) + " %" : "-", count(of_minute, {"dropped"}),
               count(of_minute, {"failed"}), count(of_minute, {"refused"})});
  }
  return minutes.empty() ? "nothing is known of the last day: no daemon has run\n" : table.str(width);
}

std::string render_instances(const json& document, std::size_t width) {
  const json& instances = member(document, {"instances"});
  if (instances.empty()) return "no instance has shared memory on this machine\n";
  Table table({{"INSTANCE", true, 0, 12},
               {"PEAKNETD", true},
               {"ATTACHED", false, 2},
               {"FRAMES"},
               {"MEMORY", false, 1},
               {"OWNER", true, 3, 6}});
  for (const json& instance : instances) {
    const json& daemon = member(instance, {"daemon"});
    const std::string runs = daemon.is_null() ? "not known"
                             : daemon == true ? "pid " + identifier(instance, {"pid"})
                                              : "none";
    table.add({text(instance, {"name"}), runs, count(instance, {"attached"}), count(instance, {"frames"}),
               bytes(instance, {"bytes"}), text(instance, {"owner"})});
  }
  return table.str(width) + problems_of(instances, width);
}

std::string render_trace(const json& document, std::size_t width) {
  std::string out;
  if (member(document, {"number"}).is_number()) {
    out = "producer " + identifier(document, {"producer"}) + " frame " + identifier(document, {"number"});
    if (text(document, {"run"}) != "-") out += ", run " + text(document, {"run"});
    out += '\n';
  }
  if (text(document, {"place"}) != "pool") {
    std::string where = text(document, {"meaning"}) + ": " + text(document, {"file"});
    if (member(document, {"row"}).is_number()) where += ", row " + identifier(document, {"row"});
    return out + wrapped(where, width, 2) + '\n';
  }
  std::string where = "in slot " + identifier(document, {"slot"}) + " (" + text(document, {"state"}) +
                      "): " + text(document, {"meaning"});
  if (number(document, {"attempts"}) > 0) where += ", tried " + identifier(document, {"attempts"}) + " times before";
  std::string times = "committed " + span_of_us(number(document, {"age_us"})) + " ago";
  for (const char* step : {"taken", "inferred", "written"}) {
    if (member(document, {"after_commit_us", step}).is_number())
      times += ", " + std::string(step) + " after " + span_of_us(number(document, {"after_commit_us", step}));
  }
  return out + wrapped(where, width, 2) + '\n' + wrapped(times, width, 2) + '\n';
}

}  // namespace peaknet::ctl
