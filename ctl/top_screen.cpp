#include "ctl/top_screen.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/columns.hpp"
#include "ctl/document_output.hpp"
#include "ctl/members.hpp"
#include "ctl/render.hpp"
#include "ctl/tables.hpp"
#include "ctl/watch_row.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Lines = std::vector<std::string>;

constexpr std::size_t kSideBySide = 130;  // columns from which two tables stand beside each other
constexpr std::size_t kAiry = 34;         // rows from which blocks have a blank line between them

constexpr const char* kHelp =
    "Keys\n"
    "  o, Esc     overview\n"
    "  d          devices, all that is known of each\n"
    "  p          producers: who brings frames\n"
    "  w          writers: who writes files, and the room on the disk\n"
    "  e          errors, the latest first, with what to try\n"
    "  arrows, PgUp, PgDn    scroll\n"
    "  h, ?       this page\n"
    "  q          quit\n"
    "\n"
    "Columns\n"
    "  IN/s, DEV/s     frames that came in, that devices have processed\n"
    "  HIT/s, FILT/s   frames written; frames with too few peaks, which are counted only\n"
    "  HIT%            hits of those two\n"
    "  Q1%, Q2%        of the pool: waiting for a device, waiting for the writer\n"
    "  P50, P99        time from a frame's commit to the disk, of half and of 99 %\n"
    "  LOST/s          dropped and failed; each is counted by its cause (peaknetctl stats)\n";

Lines lines_of(const std::string& text) {
  Lines lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// Two tables beside each other.
Lines beside(const Lines& left, const Lines& right, std::size_t left_width) {
  Lines out;
  for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    const std::string first = i < left.size() ? left[i] : "";
    out.push_back(i < right.size() ? padded(first, left_width) + right[i] : first);
  }
  return out;
}

// Lines from top to bottom, as many as there is room for.
class Stack {
 public:
  Stack(std::size_t rows, bool airy) : rows_(rows), airy_(airy) {}
  std::size_t room() const {
    const std::size_t gap = airy_ && !lines_.empty() ? 1 : 0;
    return rows_ > lines_.size() + gap ? rows_ - lines_.size() - gap : 0;
  }
  // Whole or not at all.
  void add(const Lines& block) {
    if (block.empty() || block.size() > room()) return;
    if (airy_ && !lines_.empty()) lines_.emplace_back();
    lines_.insert(lines_.end(), block.begin(), block.end());
  }
  // As many rows as there is room for, if these are more than the titles. `keep`: rows for what comes after.
  void add(const Table& table, std::size_t width, std::size_t keep) {
    const std::size_t mine = room() > keep ? room() - keep : 0;
    if (table.empty() || mine < 2) return;
    for (std::size_t rows = mine - 1; rows > 0; --rows) {
      const Lines block = lines_of(table.str(width, rows));
      if (block.size() > mine) continue;
      return add(block);
    }
  }
  Lines take() { return std::move(lines_); }

 private:
  std::size_t rows_;
  bool airy_;
  Lines lines_;
};

Lines overview(const json& before, const json& now, double seconds, std::size_t width, std::size_t rows) {
  const bool airy = rows >= kAiry;
  Stack stack(rows, airy);
  Lines rates = {watch_header(width)};
  rates.push_back(before.is_object() ? watch_row(before, now, seconds, width) : "a second, please\n");
  for (std::string& line : rates) line.pop_back();
  stack.add(rates);
  stack.add(lines_of(frame_lines(member(now, {"frames"}), width)));

  const Table latency = latency_table(now), devices = device_table(now, width >= kSideBySide),
              producers = producer_table(now), writers = writer_table(now);
  // At least a title and a row for each of the tables below.
  const std::size_t each = airy ? 3 : 2;
  if (width >= kSideBySide) {
    const std::size_t half = width / 2;
    stack.add(beside(lines_of(queue_table(now, half - 2)), lines_of(latency.str(width - half)), half));
  } else {
    stack.add(lines_of(queue_table(now, width)));
  }
  stack.add(devices, width, 2 * each);
  stack.add(writers, width, each);
  const bool both = width < kSideBySide && stack.room() >= 6 + each + (airy ? 1 : 0);
  stack.add(producers, width, both ? 6 + (airy ? 1 : 0) : 0);
  if (width < kSideBySide) {
    const Lines whole = lines_of(latency.str(width));
    stack.add(whole.size() <= stack.room() ? whole : lines_of(latency_line(now, width)));
  }
  return stack.take();
}

Lines page_of(const json& now, TopPage page, std::size_t width) {
  switch (page) {
    case TopPage::devices:
      return lines_of(device_table(now, true).str(width));
    case TopPage::producers:
      return lines_of(producer_table(now).str(width));
    case TopPage::writers:
      return lines_of(writer_table(now).str(width));
    case TopPage::errors:
      return lines_of(render_errors(member(now, {"errors"}), width));
    default:
      return lines_of(kHelp);
  }
}

Lines head(const json& now, std::size_t width, std::size_t rows) {
  const json& status = member(now, {"status"});
  std::string title = text(now, {"instance"}) + "  " + upper(text(now, {"state"})) + "  run " + text(now, {"run"});
  if (const std::string host = text(status, {"daemon", "host"}); host != "-") title += "  on " + host;
  title += "  " + moment(now, {"time"}) + " UTC";
  Lines lines = {title};
  const Lines health = lines_of(health_lines(member(status, {"health"}), width));
  const std::size_t most = rows < 12 ? 1 : rows < kAiry ? 3 : 6;
  lines.insert(lines.end(), health.begin(),
               health.begin() + static_cast<std::ptrdiff_t>(std::min(most, health.size())));
  return lines;
}

std::string foot(const json& now, std::size_t width) {
  const auto errors = member(now, {"errors", "errors"}).size();
  const std::string full =
      "q quit  h help  o overview  d devices  p producers  w writers  e errors (" + std::to_string(errors) + ")";
  return full.size() <= width ? full : "q h o d p w e(" + std::to_string(errors) + ")";
}

}  // namespace

std::optional<TopView> pressed(const std::string& key, TopView view, std::size_t page_rows) {
  const std::size_t step = std::max<std::size_t>(1, page_rows);
  const auto back = [&](std::size_t by) { view.scroll -= std::min(view.scroll, by); };
  if (key == "q" || key == "Q" || key == "\x03") return std::nullopt;
  if (key == "o" || key == "\x1b") return TopView{};
  if (key == "d") return TopView{TopPage::devices, 0};
  if (key == "p") return TopView{TopPage::producers, 0};
  if (key == "w") return TopView{TopPage::writers, 0};
  if (key == "e") return TopView{TopPage::errors, 0};
  if (key == "h" || key == "?") return TopView{TopPage::help, 0};
  if (key == "\x1b[A" || key == "\x1bOA" || key == "k") back(1);
  if (key == "\x1b[B" || key == "\x1bOB" || key == "j") view.scroll += 1;
  if (key == "\x1b[5~") back(step);
  if (key == "\x1b[6~") view.scroll += step;
  return view;
}

std::string top_screen(const json& before, const json& now, double seconds, const Terminal& terminal, TopView& view) {
  const std::size_t width = terminal.columns, rows = terminal.rows;
  Lines lines = head(now, width, rows);
  const std::size_t foot_rows = rows >= 3 ? 1 : 0;
  const std::size_t body_rows = rows > lines.size() + foot_rows ? rows - lines.size() - foot_rows : 0;
  Lines body;
  if (view.page == TopPage::overview) {
    body = overview(before, now, seconds, width, body_rows);
  } else {
    const Lines page = page_of(now, view.page, width);
    view.scroll = std::min(view.scroll, page.size() > body_rows ? page.size() - body_rows : 0);
    body.assign(page.begin() + static_cast<std::ptrdiff_t>(view.scroll), page.end());
  }
  body.resize(body_rows);
  lines.resize(std::min(lines.size(), rows - foot_rows));
  lines.insert(lines.end(), body.begin(), body.end());
  if (foot_rows > 0) lines.push_back(foot(now, width));
  std::string out;
  for (std::size_t row = 0; row < std::min(lines.size(), rows); ++row)
    out += (row == 0 ? "" : "\r\n") + as_shown(terminal, clipped(lines[row], width)) + "\x1b[K";
  return out;
}

}  // namespace peaknet::ctl
