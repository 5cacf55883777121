#include "ctl/files/audit_command.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "base/text.hpp"
#include "ctl/show.hpp"
#include "writer/audit/audit.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kMostSpans = 20;  // named in the text; --json has all

json document_of(const writer::Audit& audit) {
  json instances = json::array();
  for (const auto& found : audit.instances) {
    json books = nullptr;
    if (found.books) {
      books = {{"at", iso_time(found.books->realtime_ns)}, {"totals", json::object()}};
      for (const auto& [name, value] : found.books->totals) books["totals"][name] = value;
    }
    json spans = json::array();
    for (const auto& span : found.without_end)
      spans.push_back({{"producer", span.producer}, {"first", span.first}, {"last", span.last}});
    instances.push_back({{"instance", found.instance},
                         {"uuid", found.uuid},
                         {"files", found.files},
                         {"in_files", found.in_files},
                         {"unfinished", found.unfinished},
                         {"ended", found.ended},
                         {"books", std::move(books)},
                         {"without_end", std::move(spans)},
                         {"without_name", found.nameless},
                         {"explained", found.counted},
                         {"missing", found.missing}});
  }
  const auto errors = [](const std::vector<Error>& list) {
    json out = json::array();
    for (const auto& error : list)
      out.push_back({{"id", error.id}, {"what", error.what}, {"untouched", error.untouched}, {"remedy", error.remedy}});
    return out;
  };
  return {{"schema", "peaknet.audit/1"},
          {"proved", audit.proved()},
          {"instances", std::move(instances)},
          {"problems", errors(audit.problems)},
          {"notes", errors(audit.notes)}};
}

void line(std::ostream& out, const std::string& what, std::uint64_t count, const std::string& remark = "") {
  std::string label = "  " + what;
  label.resize(std::max<std::size_t>(label.size() + 1, 22), ' ');
  const std::string digits = std::to_string(count);
  out << label << std::string(digits.size() < 12 ? 12 - digits.size() : 0, ' ') << digits
      << (remark.empty() ? "" : "   " + remark) << '\n';
}

void show_text(const writer::Audit& audit, std::ostream& out) {
  for (const auto& found : audit.instances) {
    out << "instance " << found.instance << '\n';
    line(out, "committed", found.total("committed"),
         found.books ? "by the books of " + iso_time(found.books->realtime_ns) : "no copy of the books was found");
    line(out, "in files", found.in_files, "in " + std::to_string(found.files) + " finished files");
    for (const auto& [end, count] : found.ended) line(out, end, count);
    if (found.books) {
      for (const auto& [name, count] : found.books->totals) {
        const bool by_name = name == "committed" || name == "written" || found.ended.contains(name);
        if (count > 0 && !by_name) line(out, name, count, "counted, without their names");
      }
    }
    if (found.unfinished > 0) line(out, "unfinished", found.unfinished, "durable, in files that are not finished");
    for (std::size_t i = 0; i < std::min(kMostSpans, found.without_end.size()); ++i)
      out << "    no end of its own: " << describe(found.without_end[i]) << '\n';
    if (found.without_end.size() > kMostSpans)
      out << "    and " << found.without_end.size() - kMostSpans << " spans more (--json has all)\n";
    line(out, "missing", found.missing);
  }
  for (const auto& note : audit.notes) out << "note: " << note.text() << '\n';
  for (const auto& problem : audit.problems) out << "problem: " << problem.text() << '\n';
  out << (audit.proved()
              ? "proved: every frame is in a file that can be read, or was filtered, dropped or failed with a cause\n"
              : "not proved\n");
}

}  // namespace

ExitCode show_audit(const Options& options, std::ostream& out, std::ostream& err) {
  const auto audit = writer::audit_folders({options.folders.begin(), options.folders.end()}, !options.quick);
  if (!audit) return show_error(audit.error(), options.json, out, err);
  if (options.json) {
    show_json(out, document_of(*audit));
  } else {
    show_text(*audit, out);
  }
  return audit->proved() ? ExitCode::ok : ExitCode::failed;
}

}  // namespace peaknet::ctl
