#include "ctl/render.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/text.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Path = std::initializer_list<const char*>;

const json& member(const json& document, Path path) {
  static const json kNothing;
  const json* at = &document;
  for (const char* key : path) {
    if (!at->is_object()) return kNothing;
    const auto found = at->find(key);
    if (found == at->end()) return kNothing;
    at = &*found;
  }
  return *at;
}

// What is printed goes to a terminal, and texts of the page are other people's: control characters are shown as '?'.
std::string text(const json& document, Path path) {
  const json& value = member(document, path);
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) return "-";
  std::string shown = value.get<std::string>();
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return shown;
}

double number(const json& document, Path path) {
  const json& value = member(document, path);
  return value.is_number() ? value.get<double>() : 0.0;
}

// A name made of digits (a pid, a participant's number): never grouped, so that it can be pasted into a command.
std::string identifier(const json& document, Path path) {
  const json& value = member(document, path);
  if (!value.is_number_integer()) return "-";
  return value.is_number_unsigned() ? std::to_string(value.get<std::uint64_t>())
                                    : std::to_string(value.get<std::int64_t>());
}

// "18 233 401"
std::string count(const json& document, Path path) {
  std::string digits = identifier(document, path);
  const std::ptrdiff_t sign = digits.starts_with('-') ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > sign; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ' ');
  }
  return digits;
}

std::string rounded(double value, int decimals = 1) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.*f", decimals, value);
  return out.data();
}

// Microseconds in the unit that leaves two or three digits before the point.
std::string span_of_us(double us) {
  if (us < 1e3) return rounded(us, 0) + " us";
  if (us < 1e6) return rounded(us / 1e3) + " ms";
  return rounded(us / 1e6) + " s";
}

std::string uptime(const json& document, Path path) {
  const auto seconds = static_cast<std::int64_t>(std::min(number(document, path), 1e9));
  std::array<char, 48> out{};
  std::snprintf(out.data(), out.size(), "%lldd %02lld:%02lld:%02lld", static_cast<long long>(seconds / 86400),
                static_cast<long long>(seconds / 3600 % 24), static_cast<long long>(seconds / 60 % 60),
                static_cast<long long>(seconds % 60));
  return out.data();
}

std::string upper(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return word;
}

// Columns as wide as their widest cell; the first to the left, the others to the right unless they are texts.
class Table {
 public:
  // A leading '<' in a title: cells to the left.
  explicit Table(std::vector<std::string> titles) : rows_{std::move(titles)} {
    for (std::string& title : rows_.front()) {
      left_.push_back(title.starts_with('<'));
      if (left_.back()) title.erase(0, 1);
    }
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string str() const {
    std::string out;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t column = 0; column < row.size(); ++column) {
        std::size_t width = 0;
        for (const auto& other : rows_) width = std::max(width, other[column].size());
        const std::string gap(width - row[column].size(), ' ');
        line += (column == 0 ? "" : "  ") + (left_[column] ? row[column] + gap : gap + row[column]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> left_;
};

// All causes of "dropped" or "failed" together.
double total_of(const json& causes) {
  double total = 0;
  if (!causes.is_object()) return total;
  for (const auto& [cause, value] : causes.items()) total += value.is_number() ? value.get<double>() : 0.0;
  return total;
}

// dropped and failed: "0", or "12 (oldest 12)".
std::string by_cause(const json& causes) {
  if (!causes.is_object()) return "-";
  std::string list;
  for (const auto& [cause, value] : causes.items()) {
    if (!value.is_number() || value.get<double>() == 0) continue;
    list += (list.empty() ? "" : ", ") + cause + " " + count(causes, {cause.c_str()});
  }
  return count(json(static_cast<std::uint64_t>(total_of(causes))), {}) + (list.empty() ? "" : " (" + list + ")");
}

std::string balance(const json& frames) {
  if (!member(frames, {"settled"}).is_boolean()) return "-";
  if (!member(frames, {"settled"}).get<bool>()) return "unsettled (frames moved while it was read)";
  const std::string off = count(frames, {"imbalance"});
  return off == "0" ? "OK" : "BROKEN, " + off + " frames unaccounted for";
}

std::string frames_line(const json& frames) {
  return "committed " + count(frames, {"committed"}) + "   inferred " + count(frames, {"inferred"}) + "   written " +
         count(frames, {"written"}) + "   filtered " + count(frames, {"filtered"}) + "   in flight " +
         count(frames, {"in_flight"}) + "\n        dropped " + by_cause(member(frames, {"dropped"})) + "   failed " +
         by_cause(member(frames, {"failed"})) + "   balance " + balance(frames) + '\n';
}

std::string shape_of(const json& pool) {
  std::string shape;
  for (const json& side : member(pool, {"shape"})) shape += (shape.empty() ? "" : ",") + count(side, {});
  return "[" + shape + "]";
}

std::string pool_line(const json& document) {
  const json& pool = member(document, {"pool"});
  if (!pool.is_object()) return "none";
  return count(pool, {"slots"}) + " slots of " + text(pool, {"dtype"}) + " " + shape_of(pool) + ", epoch " +
         count(pool, {"epoch"}) + ", when full: " + text(pool, {"full"});
}

// Of a rebuffer's answer.
std::string pool_size(const json& pool) {
  return count(pool, {"slots"}) + " slots of " + shape_of(pool) + ", " +
         human_bytes(static_cast<std::uint64_t>(number(pool, {"bytes"}))) + ", epoch " + count(pool, {"epoch"});
}

std::string rates_line(const json& document) {
  return "in " + rounded(number(document, {"rates", "committed_per_s"})) + "/s   inferred " +
         rounded(number(document, {"rates", "inferred_per_s"})) + "/s   written " +
         rounded(number(document, {"rates", "written_per_s"})) + "/s";
}

std::string queue_bar(double used, double slots) {
  constexpr int kCells = 10;
  const int full = slots > 0 ? static_cast<int>(std::ceil(std::clamp(used / slots, 0.0, 1.0) * kCells)) : 0;
  return std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(kCells - full), '.');
}

std::string queue_table(const json& document) {
  Table table({"<WHERE", "FRAMES", "OF", "<USED", "<MEANING"});
  constexpr std::array<std::array<const char*, 2>, 4> kQueues = {{{"q1", "wait for a device"},
                                                                  {"devices", "in a device"},
                                                                  {"q2", "wait for a writer"},
                                                                  {"writers", "until they are on the disk"}}};
  for (const auto& [queue, meaning] : kQueues) {
    table.add({queue, count(document, {"queues", queue}), count(document, {"pool", "slots"}),
               queue_bar(number(document, {"queues", queue}), number(document, {"pool", "slots"})), meaning});
  }
  return table.str();
}

std::string producer_table(const json& document) {
  Table producers({"<PRODUCER", "NUMBER", "PID", "UID", "COMMITTED", "REFUSED", "<SINCE"});
  for (const json& p : member(document, {"producers"})) {
    producers.add({text(p, {"label"}), identifier(p, {"number"}), identifier(p, {"pid"}), identifier(p, {"uid"}),
                   count(p, {"committed"}), count(p, {"refused"}), text(p, {"since"})});
  }
  return producers.str();
}

std::string writer_table(const json& document) {
  Table writers({"<WRITER", "NUMBER", "PID", "UID", "WRITTEN", "FILTERED", "HELD", "FILES", "<FILE"});
  for (const json& w : member(document, {"writers"})) {
    writers.add({text(w, {"label"}), identifier(w, {"number"}), identifier(w, {"pid"}), identifier(w, {"uid"}),
                 count(w, {"written"}), count(w, {"filtered"}), count(w, {"held"}), count(w, {"files"}),
                 text(w, {"note"})});
  }
  return writers.str();
}

// "FAILING: no writer is attached (+2)   try: ...".
std::string health_line(const json& health) {
  const std::string state = text(health, {"state"});
  const json& reasons = member(health, {"reasons"});
  if (!reasons.is_array() || reasons.empty()) return state;
  return upper(state) + ": " + text(reasons.front(), {"what"}) +
         (reasons.size() > 1 ? " (+" + std::to_string(reasons.size() - 1) + ", see status --check)" : "") +
         "   try: " + text(reasons.front(), {"remedy"});
}

}  // namespace

std::string render_status(const json& document) {
  std::string out = "peaknetd " + text(document, {"daemon", "version"}) + "  instance " + text(document, {"instance"}) +
                    "  host " + text(document, {"daemon", "host"}) + "  pid " +
                    identifier(document, {"daemon", "pid"}) + "  up " + uptime(document, {"daemon", "uptime_s"}) + '\n';
  out += "state   " + upper(text(document, {"state"})) + " since " + text(document, {"state_since"}) + "   run " +
         text(document, {"run", "id"}) + '\n';
  out += "health  " + health_line(member(document, {"health"})) + '\n';
  const std::string failure = text(document, {"failure"});
  if (failure != "-") out += "note    " + failure + '\n';
  out += "model   " + text(document, {"model", "path"}) + "   sha256 " + text(document, {"model", "sha256"}) + '\n';
  out += "pool    " + pool_line(document) + "\n\n";
  out += queue_table(document) + '\n';

  Table devices({"<DEVICE", "<STATE", "DEPTH", "BATCH", "IN FLIGHT", "FRAMES", "<ERROR"});
  for (const json& device : member(document, {"devices"})) {
    devices.add({text(device, {"name"}), text(device, {"state"}), count(device, {"depth"}), count(device, {"batch"}),
                 count(device, {"in_flight"}), count(device, {"frames"}), text(device, {"error"})});
  }
  out += devices.str() + '\n';

  Table writers({"<WRITER", "PID", "HELD", "<FILE"});
  for (const json& writer : member(document, {"writers"})) {
    writers.add(
        {text(writer, {"label"}), identifier(writer, {"pid"}), count(writer, {"held"}), text(writer, {"file"})});
  }
  out += writers.str() + '\n';
  out += "frames  " + frames_line(member(document, {"frames"}));
  if (number(document, {"pixels_not_finite"}) > 0)
    out += "pixels  " + count(document, {"pixels_not_finite"}) + " were NaN or infinite and count as bad\n";
  out += "rates   " + rates_line(document) + "   producers " + count(document, {"producers"}) + '\n';
  return out;
}

std::string render_stats(const json& document) {
  std::string out = "run     " + text(document, {"run"}) + "   state " + upper(text(document, {"state"})) + "   at " +
                    text(document, {"time"}) + '\n';
  out += "frames  " + frames_line(member(document, {"frames"}));
  out += "refused pool full " + count(document, {"frames", "refused", "pool_full"}) + "   producer died " +
         count(document, {"frames", "refused", "producer_died"}) + "   messages lost " +
         count(document, {"messages_lost"}) + '\n';
  out += "rates   " + rates_line(document) + '\n';
  out += "files   " + count(document, {"files"}) + " (" +
         human_bytes(static_cast<std::uint64_t>(std::clamp(number(document, {"file_bytes"}), 0.0, 1e18))) +
         ")   peaks " + count(document, {"peaks"}) + "   cut " + count(document, {"peaks_cut"}) + '\n';
  out += "other   redelivered " + count(document, {"redelivered"}) + "   duplicates " +
         count(document, {"duplicates"}) + "   late wakes " + count(document, {"late_wakes"}) +
         "   pixels not finite " + count(document, {"pixels_not_finite"}) + "\n\n";
  out += queue_table(document) + '\n';

  Table latency({"<LATENCY", "P50", "P95", "P99", "MAX", "FRAMES"});
  for (const char* stage : {"q1_wait", "infer", "q2_wait", "write", "total"}) {
    const json& entry = member(document, {"latency_us", stage});
    latency.add({stage, span_of_us(number(entry, {"p50"})), span_of_us(number(entry, {"p95"})),
                 span_of_us(number(entry, {"p99"})), span_of_us(number(entry, {"max"})), count(entry, {"count"})});
  }
  out += latency.str() + '\n';

  Table devices({"<DEVICE", "<STATE", "DEPTH", "BATCH", "IN FLIGHT", "FRAMES", "BATCHES", "PADDED", "ERRORS", "<COPIES",
                 "<ERROR"});
  for (const json& device : member(document, {"devices"})) {
    devices.add({text(device, {"name"}), text(device, {"state"}), count(device, {"depth"}), count(device, {"batch"}),
                 count(device, {"in_flight"}), count(device, {"frames"}), count(device, {"batches"}),
                 count(device, {"padded_rows"}), count(device, {"model_errors"}), text(device, {"h2d_mode"}),
                 text(device, {"error"})});
  }
  out += devices.str() + '\n';

  out += producer_table(document) + '\n';
  return out + writer_table(document);
}

std::string render_start(const json& reply) {
  return "run " + text(reply, {"run"}) + " has begun: " + text(reply, {"state"}) + '\n';
}

std::string render_stop(const json& reply) {
  return "run " + text(reply, {"run"}) + " has ended in " + span_of_us(number(reply, {"took_ms"}) * 1e3) + ": " +
         text(reply, {"state"}) + "\nframes  " + frames_line(member(reply, {"frames"}));
}

std::string render_rebuffer(const json& reply) {
  const bool batch = number(reply, {"batch_before"}) != number(reply, {"batch_after"});
  const std::string plan = member(reply, {"dry_run"}) == true ? "nothing was changed; it would be: " : "";
  const bool pool = member(reply, {"pool_after"}).is_object();
  const std::string pools =
      pool
          ? "pool " + pool_size(member(reply, {"pool_before"})) + "\n  -> " + pool_size(member(reply, {"pool_after"})) +
                "; " + human_bytes(static_cast<std::uint64_t>(number(reply, {"free_bytes"}))) + " were free\n"
          : "";
  return plan + pools + "depth " + count(reply, {"before"}) + " -> " + count(reply, {"after"}) +
         (batch ? ", batch " + count(reply, {"batch_before"}) + " -> " + count(reply, {"batch_after"}) : "") + " in " +
         span_of_us(number(reply, {"took_ms"}) * 1e3) + ", " + count(reply, {"in_flight"}) + " frames in flight, " +
         count(reply, {"lost"}) + " lost\n";
}

std::string render_model(const json& document) {
  return "model   " + text(document, {"path"}) + "\nkind    " + text(document, {"kind"}) + ", number " +
         count(document, {"number"}) + " since " + text(document, {"since"}) + "\nsha256  " +
         text(document, {"sha256"}) + "\nrows    " + text(document, {"rows"}) + "\ngolden  " +
         text(document, {"golden"}) + '\n';
}

std::string render_model_load(const json& reply) {
  return "model " + text(reply, {"before", "path"}) + " -> " + text(reply, {"after", "path"}) + " in " +
         span_of_us(number(reply, {"took_ms"}) * 1e3) + "\n" + render_model(member(reply, {"after"}));
}

std::string render_errors(const json& document) {
  const json& errors = member(document, {"errors"});
  if (errors.empty()) return "nothing went wrong since the instance was made\n";
  std::string out;
  for (const json& kind : errors) {
    out += text(kind, {"last"}) + "  " + text(kind, {"id"}) + "  " + count(kind, {"count"}) + " times since " +
           text(kind, {"first"}) + ", last from " + text(kind, {"from"}) + "\n    " + text(kind, {"text"}) + '\n';
  }
  return out;
}

std::string render_instances(const json& document) {
  const json& instances = member(document, {"instances"});
  if (instances.empty()) return "no instance has shared memory on this machine\n";
  Table table({"<INSTANCE", "<PEAKNETD", "ATTACHED", "FRAMES", "MEMORY", "<REMARK"});
  for (const json& instance : instances) {
    const json& daemon = member(instance, {"daemon"});
    const std::string runs = daemon.is_null() ? "not known"
                             : daemon == true ? "pid " + identifier(instance, {"pid"})
                                              : "none";
    table.add({text(instance, {"name"}), runs, count(instance, {"attached"}), count(instance, {"frames"}),
               human_bytes(static_cast<std::uint64_t>(number(instance, {"bytes"}))), text(instance, {"problem"})});
  }
  return table.str();
}

std::string watch_header() {
  return "TIME          IN/s     DEV/s     OUT/s   Q1%   Q2%   INFL    p50 ms    p99 ms    DROP/s    FAIL/s  STATE\n";
}

std::string watch_row(const json& before, const json& now, double seconds) {
  const auto rate = [&](double then, double later) { return std::max(0.0, later - then) / std::max(seconds, 1e-3); };
  const auto per_s = [&](const char* stage) {
    return rate(number(before, {"lifetime", stage}), number(now, {"lifetime", stage}));
  };
  const auto all_per_s = [&](const char* end) {
    return rate(total_of(member(before, {"lifetime", end})), total_of(member(now, {"lifetime", end})));
  };
  const std::string time = text(now, {"time"});  // "2026-03-01T14:21:03.250Z"
  const double slots = std::max(1.0, number(now, {"pool", "slots"}));
  std::array<char, 192> line{};
  std::snprintf(line.data(), line.size(), "%-8s %9.1f %9.1f %9.1f %5.0f %5.0f %6.0f %9.1f %9.1f %9.1f %9.1f  %s\n",
                time.size() >= 19 ? time.substr(11, 8).c_str() : "-", per_s("committed"), per_s("inferred"),
                per_s("written") + per_s("filtered"), 100 * number(now, {"queues", "q1"}) / slots,
                100 * number(now, {"queues", "q2"}) / slots, number(now, {"lifetime", "in_flight"}),
                number(now, {"latency_us", "total", "p50"}) / 1e3, number(now, {"latency_us", "total", "p99"}) / 1e3,
                all_per_s("dropped"), all_per_s("failed"), text(now, {"state"}).c_str());
  return line.data();
}

std::string render_producers(const json& document) { return producer_table(document); }
std::string render_writers(const json& document) { return writer_table(document); }

std::string render_trace(const json& document) {
  std::string out;
  if (member(document, {"number"}).is_number()) {
    out = "producer " + identifier(document, {"producer"}) + " frame " + identifier(document, {"number"});
    if (text(document, {"run"}) != "-") out += ", run " + text(document, {"run"});
    out += '\n';
  }
  if (text(document, {"place"}) != "pool") {
    out += text(document, {"meaning"}) + ": " + text(document, {"file"});
    if (member(document, {"row"}).is_number()) out += ", row " + identifier(document, {"row"});
    return out + '\n';
  }
  out += "in slot " + identifier(document, {"slot"}) + " (" + text(document, {"state"}) +
         "): " + text(document, {"meaning"});
  if (number(document, {"attempts"}) > 0) out += ", tried " + identifier(document, {"attempts"}) + " times before";
  out += "\ncommitted " + span_of_us(number(document, {"age_us"})) + " ago";
  for (const char* step : {"taken", "inferred", "written"}) {
    if (member(document, {"after_commit_us", step}).is_number())
      out += ", " + std::string(step) + " after " + span_of_us(number(document, {"after_commit_us", step}));
  }
  return out + '\n';
}

std::string render_view(const json& document) {
  return text(document, {"file"}) + ": producer " + identifier(document, {"producer"}) + " frame " +
         identifier(document, {"number"}) + ", run " + text(document, {"run"}) + ", " + count(document, {"peaks"}) +
         " peaks\n";
}

std::string render_reload(const json& reply) {
  std::string out;
  for (const json& key : member(reply, {"changed"}))
    out += text(key, {"key"}) + "  " + text(key, {"before"}) + " -> " + text(key, {"after"}) + '\n';
  for (const json& key : member(reply, {"restart"}))
    out += text(key, {"key"}) + "  " + text(key, {"before"}) + " -> " + text(key, {"after"}) + " when " +
           text(key, {"program"}) + " is started again\n";
  return out.empty() ? "nothing has changed\n" : out;
}

std::string render_keygen(const json& document) {
  return "secret key  " + text(document, {"file"}) + " (mode 0400; stays here)\npublic key  " +
         text(document, {"public"}) + "  (also in " + text(document, {"file"}) + ".pub)\n";
}

std::string render_health(const json& document) {
  std::string out =
      text(document, {"health"}) + ": " + text(document, {"instance"}) + " is " + text(document, {"state"}) + '\n';
  for (const json& reason : member(document, {"reasons"})) {
    out += "  " + text(reason, {"state"}) + "  " + text(reason, {"what"}) + "   [" + text(reason, {"id"}) + "]\n";
    out += "    try: " + text(reason, {"remedy"}) + '\n';
  }
  return out;
}

std::string render_top(const json& before, const json& now, double seconds) {
  const json& status = member(now, {"status"});
  std::string out = "peaknetd " + text(status, {"daemon", "version"}) + "  instance " + text(now, {"instance"}) + "  " +
                    upper(text(now, {"state"})) + "  run " + text(now, {"run"}) + "  " + text(now, {"time"}) +
                    "   q: leave\n";
  out += "health  " + health_line(member(status, {"health"})) + '\n';
  out += '\n' + watch_header();
  if (before.is_object()) {
    out += watch_row(before, now, seconds);
  } else {
    out += "a second, please\n";
  }
  out += '\n' + queue_table(now) + "\nframes  " + frames_line(member(now, {"frames"})) + '\n';
  Table latency({"<LATENCY", "P50", "P95", "P99", "MAX"});
  for (const char* stage : {"q1_wait", "infer", "q2_wait", "write", "total"}) {
    const json& entry = member(now, {"latency_us", stage});
    latency.add({stage, span_of_us(number(entry, {"p50"})), span_of_us(number(entry, {"p95"})),
                 span_of_us(number(entry, {"p99"})), span_of_us(number(entry, {"max"}))});
  }
  out += latency.str() + '\n';
  Table devices({"<DEVICE", "<STATE", "DEPTH", "BATCH", "IN FLIGHT", "FRAMES", "<ERROR"});
  for (const json& device : member(now, {"devices"})) {
    devices.add({text(device, {"name"}), text(device, {"state"}), count(device, {"depth"}), count(device, {"batch"}),
                 count(device, {"in_flight"}), count(device, {"frames"}), text(device, {"error"})});
  }
  return out + devices.str() + '\n' + producer_table(now) + '\n' + writer_table(now);
}

std::string render_doctor(const json& document) {
  std::string out;
  for (const json& finding : member(document, {"findings"})) {
    const std::string verdict = text(finding, {"verdict"});
    const char* mark = verdict == "good" ? "ok    " : verdict == "warning" ? "WARN  " : "BAD   ";
    std::string subject = text(finding, {"subject"});
    subject.resize(std::max<std::size_t>(subject.size(), 14), ' ');
    out += mark + subject + "  " + text(finding, {"text"}) + '\n';
    if (const std::string remedy = text(finding, {"remedy"}); remedy != "-") out += "      try: " + remedy + '\n';
  }
  return out;
}

std::string render_version(const json& reply) {
  return "peaknetd   " + text(reply, {"version"}) + " (" + text(reply, {"commit"}) + ")\n";
}

}  // namespace peaknet::ctl
