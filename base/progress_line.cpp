#include "base/progress_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <utility>

#include "base/columns.hpp"
#include "base/terminal.hpp"

namespace peaknet {
namespace {

constexpr std::chrono::milliseconds kRedraw{250};

void draw_until(const std::stop_token& stop, const std::function<std::string()>& text) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  bool drawn = false;
  for (;;) {
    {
      std::unique_lock lock(mutex);
      nobody.wait_for(lock, stop, kRedraw, [] { return false; });
    }
    if (stop.stop_requested()) break;
    const std::string line = text();
    if (line.empty() && !drawn) continue;
    // The last column stays free, since a cursor there may wrap. It goes back to the start, so that a line of the log
    // takes this one's place.
    std::fprintf(stderr, "\r\x1b[K%s\r", clipped(line, Terminal::of(STDERR_FILENO).columns - 1).c_str());
    drawn = true;
  }
  if (drawn) std::fprintf(stderr, "\r\x1b[K");
}

}  // namespace

ProgressLine::ProgressLine(std::function<std::string()> text) {
  if (!Terminal::of(STDERR_FILENO).moves) return;
  thread_ = std::jthread([text = std::move(text)](const std::stop_token& stop) { draw_until(stop, text); });
}

ProgressLine::~ProgressLine() = default;

std::string progress_bar(double done, double whole) {
  constexpr std::size_t kWidth = 20;
  const double share = std::clamp(done / whole, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(kWidth));
  std::array<char, 16> percent{};
  std::snprintf(percent.data(), percent.size(), "%3.0f %%", share * 100.0);
  return "[" + std::string(full, '#') + std::string(kWidth - full, '-') + "] " + percent.data();
}

}  // namespace peaknet
