#include "ctl/top.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/status_documents.hpp"
#include "ctl/document_output.hpp"
#include "ctl/instance_view.hpp"
#include "ctl/screen.hpp"
#include "ctl/top_screen.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

json look(const InstanceView& seen) {
  json now = control::stats_document(*seen.control_segment, seen.pool.get(), control::kSourceSegment);
  now["status"] = control::status_document(*seen.control_segment, seen.pool.get(), control::kSourceSegment);
  now["errors"] = control::errors_document(*seen.control_segment);
  return now;
}

// Draws until it is to end; what went wrong, if the instance went away.
std::optional<Error> show_screens(const Options& options, const std::string& instance, std::ostream& out) {
  Screen screen(out);
  TopView view;
  json before, now;
  Clock::time_point looked{};
  double seconds = 0;
  for (unsigned looks = 0;;) {
    // A key shows the same numbers in another way; only time brings others.
    if (const auto at = Clock::now(); now.is_null() || at - looked >= options.every) {
      const auto seen = InstanceView::open(instance);
      if (!seen) return seen.error();
      before = std::move(now);
      now = look(*seen);
      seconds = std::chrono::duration<double>(at - looked).count();
      looked = at;
      ++looks;
    }
    const Terminal terminal = Terminal::of(STDOUT_FILENO);
    screen.draw(top_screen(before, now, seconds, terminal, view));
    if (options.count != 0 && looks > options.count) return std::nullopt;
    std::string key;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(looked + options.every - Clock::now());
    switch (screen.wait(std::max(left, std::chrono::milliseconds(0)), key)) {
      case Screen::Event::end:
        return std::nullopt;
      case Screen::Event::key: {
        const auto changed = pressed(key, view, terminal.rows);
        if (!changed) return std::nullopt;
        view = *changed;
        break;
      }
      default:
        break;
    }
  }
}

}  // namespace

ExitCode top(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  if (!Terminal::of(STDIN_FILENO).there || !Terminal::of(STDOUT_FILENO).moves) {
    return show_error({"top.no-terminal", "top draws on a terminal that can place text, and this is none (TERM=dumb?)",
                       "nothing was shown", "peaknetctl watch, which prints lines"},
                      options.json, out, err);
  }
  const auto gone = show_screens(options, instance, out);
  return gone ? show_error(*gone, options.json, out, err) : ExitCode::ok;
}

}  // namespace peaknet::ctl
