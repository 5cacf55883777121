#include "ctl/watch.hpp"

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "control/protocol.hpp"
#include "control/status_documents.hpp"
#include "ctl/document_output.hpp"
#include "ctl/instance_view.hpp"
#include "ctl/watch_row.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr unsigned kRowsPerHeader = 20;

}  // namespace

ExitCode watch(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  json before;
  Clock::time_point looked;
  std::size_t header_width = 0;
  for (unsigned row = 0; options.count == 0 || row <= options.count; ++row) {
    const auto view = InstanceView::open(instance);
    if (!view) return show_error(view.error(), options.json, out, err);
    json now = control::stats_document(*view->control_segment, view->pool.get(), control::kSourceSegment);
    const auto at = Clock::now();
    if (row > 0) {  // the first look has nothing to be compared with
      if (options.json) {
        out << control::to_text(now, -1) << '\n';
      } else if (options.plain) {
        out << plain_lines(now);
      } else {
        // The window may have another size by now.
        const std::size_t width =
            options.terminal.there ? Terminal::of(STDOUT_FILENO).columns : options.terminal.columns;
        if (row % kRowsPerHeader == 1 || width != header_width) out << watch_header(width);
        header_width = width;
        out << watch_row(before, now, std::chrono::duration<double>(at - looked).count(), width);
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
