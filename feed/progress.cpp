#include "feed/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace peaknet::feed {
namespace {

constexpr std::chrono::milliseconds kRedraw{250};
constexpr std::size_t kBarWidth = 20;

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 100.0 ? "%.1f" : "%.0f", value);
  return text.data();
}

double rate(const Counts& counts, double seconds) {
  return seconds > 0.0 ? static_cast<double>(counts.committed) / seconds : 0.0;
}

}  // namespace

ProgressLine::ProgressLine(const Tally& tally, std::uint64_t total) : tally_(tally) {
  if (isatty(STDERR_FILENO) == 0) return;
  thread_ = std::jthread([this, total](const std::stop_token& stop) { draw_until(stop, total); });
}

void ProgressLine::draw_until(const std::stop_token& stop, std::uint64_t total) const {
  std::mutex mutex;
  std::condition_variable_any nobody;
  auto drawn_at = std::chrono::steady_clock::now();
  std::uint64_t drawn = 0;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex);
      nobody.wait_until(lock, stop, drawn_at + kRedraw, [] { return false; });
    }
    const auto now = std::chrono::steady_clock::now();
    const Counts counts = tally_.counts();
    const double span = std::max(1e-3, std::chrono::duration<double>(now - drawn_at).count());
    const std::string line = progress_text(counts, total, static_cast<double>(counts.committed - drawn) / span);
    // The cursor goes back to the start, so that a line of the log takes this one's place.
    std::fprintf(stderr, "\r\x1b[K%s\r", line.c_str());
    drawn_at = now;
    drawn = counts.committed;
  }
  std::fprintf(stderr, "\r\x1b[K");
}

std::string progress_text(const Counts& counts, std::uint64_t total, double frames_per_s) {
  std::string text;
  const std::uint64_t seen = counts.committed + counts.refused;
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(seen) / static_cast<double>(total));
    const auto full = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
    std::array<char, 16> percent{};
    std::snprintf(percent.data(), percent.size(), "%3.0f %%", share * 100.0);
    text = "[" + std::string(full, '#') + std::string(kBarWidth - full, '-') + "] " + percent.data() + "  " +
           std::to_string(seen) + " of " + std::to_string(total) + " frames  ";
  } else {
    text = std::to_string(seen) + " frames  ";
  }
  text += number(frames_per_s) + "/s  " + std::to_string(counts.refused) + " refused";
  if (const auto failures = counts.failures(); failures > 0) text += "  " + std::to_string(failures) + " failed";
  if (counts.missing > 0) text += "  " + std::to_string(counts.missing) + " missing";
  return text;
}

std::string summary_text(const std::string& mode, const Counts& counts, double seconds) {
  std::string text = mode + ": " + std::to_string(counts.committed) + " frames committed, " +
                     std::to_string(counts.refused) + " refused, " + std::to_string(counts.failures()) + " failed";
  std::string causes;
  for (const auto& [cause, n] : counts.failed) causes += (causes.empty() ? "" : ", ") + cause + " " + std::to_string(n);
  if (!causes.empty()) text += " (" + causes + ")";
  if (counts.narrowed > 0) text += ", " + std::to_string(counts.narrowed) + " narrowed to float32 with loss";
  if (counts.no_counts > 0) text += ", " + std::to_string(counts.no_counts) + " pixels without a count";
  if (counts.messages > 0) text += ", from " + std::to_string(counts.messages) + " messages";
  if (counts.missing > 0) text += ", " + std::to_string(counts.missing) + " messages missing by their senders' numbers";
  std::array<char, 32> span{};
  std::snprintf(span.data(), span.size(), "%.2f", seconds);
  return text + " in " + span.data() + " s (" + number(rate(counts, seconds)) + "/s)";
}

std::string summary_json(const std::string& mode, const Counts& counts, double seconds) {
  nlohmann::ordered_json json;
  json["schema"] = "peaknet.feed/1";
  json["mode"] = mode;
  json["committed"] = counts.committed;
  json["refused"] = counts.refused;
  json["failed"] = nlohmann::ordered_json::object();
  for (const auto& [cause, n] : counts.failed) json["failed"][cause] = n;
  json["narrowed"] = counts.narrowed;
  json["pixels_without_count"] = counts.no_counts;
  json["messages"] = counts.messages;
  json["missing"] = counts.missing;
  json["unclear_sequences"] = counts.unclear;
  json["seconds"] = seconds;
  json["rate"] = rate(counts, seconds);
  return json.dump();
}

}  // namespace peaknet::feed
