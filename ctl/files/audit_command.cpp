#include "ctl/files/audit_command.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "base/columns.hpp"
#include "base/progress_line.hpp"
#include "base/text.hpp"
#include "control/protocol.hpp"
#include "ctl/document_output.hpp"
#include "ctl/files/audit.hpp"
#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kMostSpans = 20;  // named in the text; --json has all

json document_of(const std::optional<writer::SentAudit>& sent) {
  if (!sent) return nullptr;
  return {{"events", sent->sent},     {"in_one_file", sent->in_one_file},   {"in_several", sent->in_several},
          {"in_none", sent->in_none}, {"not_arrived", sent->not_arrived()}, {"not_in_ledgers", sent->not_in_ledgers}};
}

json document_of(const writer::Audit& audit) {
  json instances = json::array();
  for (const auto& found : audit.instances) {
    json accounting = nullptr;
    if (found.accounting) {
      accounting = {{"at", iso_time(found.accounting->realtime_ns)}, {"totals", json::object()}};
      for (const auto& [name, value] : found.accounting->totals) accounting["totals"][name] = value;
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
                         {"books", std::move(accounting)},
                         {"without_end", std::move(spans)},
                         {"without_name", found.nameless},
                         {"explained", found.counted},
                         {"waiting", found.waiting},
                         {"missing", found.missing}});
  }
  const auto errors = [](const std::vector<Error>& list) {
    json out = json::array();
    for (const auto& error : list) out.push_back(control::to_json(error));
    return out;
  };
  return {{"schema", "peaknet.audit/1"},     {"proved", audit.proved()},           {"instances", std::move(instances)},
          {"sent", document_of(audit.sent)}, {"problems", errors(audit.problems)}, {"notes", errors(audit.notes)}};
}

std::string line(const std::string& what, std::uint64_t count, std::size_t width, const std::string& remark = "") {
  const std::string number = ctl::count(json(count), {});
  const std::string head = padded("  " + what, 22) + padded_left(number, 14);
  return head + (remark.empty() ? "" : "   " + wrapped(remark, width, 4, columns_of(head) + 3)) + '\n';
}

std::string text_of(const writer::InstanceAudit& found, std::size_t width) {
  std::string out = "instance " + printable(found.instance) + '\n';
  out += line("committed", found.total("committed"), width,
              found.accounting ? "by the counters of " + iso_time(found.accounting->realtime_ns).substr(0, 19)
                               : "no copy of the counters was found");
  out += line("in files", found.in_files, width, "in " + std::to_string(found.files) + " finished files");
  for (const auto& [end, count] : found.ended) out += line(end, count, width, end == "filtered" ? "too few peaks" : "");
  if (found.accounting) {
    for (const auto& [name, count] : found.accounting->totals) {
      const bool by_name = name == "committed" || name == "written" || name == writer::kWaiting ||
                           name == "in_flight" || found.ended.contains(name);
      if (count > 0 && !by_name) out += line(name, count, width, "counted, without their names");
    }
  }
  if (found.waiting > 0) out += line("waiting", found.waiting, width, "for the next run");
  if (found.total("in_flight") > found.waiting) out += line("in work", found.total("in_flight") - found.waiting, width);
  if (found.unfinished > 0)
    out += line("unfinished", found.unfinished, width, "durable, in files that are not finished");
  for (std::size_t i = 0; i < std::min(kMostSpans, found.without_end.size()); ++i)
    out += wrapped("    not finished: " + describe(found.without_end[i]), width, 6) + '\n';
  if (found.without_end.size() > kMostSpans)
    out += "    and " + std::to_string(found.without_end.size() - kMostSpans) + " spans more (--json has all)\n";
  return out + line("missing", found.missing, width);
}

std::string text_of(const writer::SentAudit& sent, std::size_t width) {
  return "senders\n" + line("sent", sent.sent, width, "by their ledgers") +
         line("in one file", sent.in_one_file, width, "of all nodes") +
         line("in several", sent.in_several.size(), width) + line("in none", sent.in_none.size(), width) +
         line("not arrived", sent.not_arrived(), width, "at least");
}

std::string text_of(const writer::Audit& audit, std::size_t width) {
  std::string out;
  for (const auto& found : audit.instances) out += text_of(found, width);
  if (audit.sent) out += text_of(*audit.sent, width);
  for (const auto& note : audit.notes) out += wrapped("note: " + note.text(), width, 2) + '\n';
  for (const auto& problem : audit.problems) out += wrapped("problem: " + problem.text(), width, 2) + '\n';
  const bool waiting =
      std::any_of(audit.instances.begin(), audit.instances.end(), [](auto& i) { return i.waiting > 0; });
  return out +
         wrapped(audit.proved() ? std::string("proved: every frame") + (waiting ? " of the ended runs" : "") +
                                      " is in a file that can be read, or was filtered, dropped or failed with a "
                                      "cause"
                                : "not proved",
                 width) +
         '\n';
}

std::string progress_text(const writer::AuditProgress& progress) {
  const std::uint64_t files = progress.files, read = progress.read;
  if (files == 0) return "reading the folders";
  return progress_bar(static_cast<double>(read), static_cast<double>(files)) + "  " + std::to_string(read) + " of " +
         std::to_string(files) + " files read";
}

}  // namespace

ExitCode show_audit(const Options& options, std::ostream& out, std::ostream& err) {
  std::optional<writer::SentEvents> sent;
  if (!options.sent.empty()) {
    auto read = writer::read_sent_events({options.sent.begin(), options.sent.end()},
                                         options.sent_by == "time" ? writer::SentBy::time : writer::SentBy::event_id);
    if (!read) return show_error(read.error(), options.json, out, err);
    sent = std::move(*read);
  }
  writer::AuditProgress at;
  const auto audit = [&] {
    const ProgressLine progress([&at] { return progress_text(at); });
    return writer::audit_folders({options.folders.begin(), options.folders.end()}, !options.quick, &at,
                                 sent ? &*sent : nullptr);
  }();
  if (!audit) return show_error(audit.error(), options.json, out, err);
  if (options.json) {
    show_json(out, document_of(*audit));
  } else if (options.plain) {
    out << plain_lines(document_of(*audit));
  } else {
    out << as_shown(options.terminal, text_of(*audit, options.terminal.columns));
  }
  return audit->proved() ? ExitCode::ok : ExitCode::failed;
}

}  // namespace peaknet::ctl
