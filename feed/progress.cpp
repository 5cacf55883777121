#include "feed/progress.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress_line.hpp"

namespace peaknet::feed {
namespace {

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 100.0 ? "%.1f" : "%.0f", value);
  return text.data();
}

double rate(const Counts& counts, double seconds) {
  return seconds > 0.0 ? static_cast<double>(counts.committed) / seconds : 0.0;
}

}  // namespace

std::function<std::string()> progress_of(const FeedCounters& tally, std::uint64_t total) {
  using Clock = std::chrono::steady_clock;
  return [&tally, total, looked = Clock::now(), before = std::uint64_t{0}]() mutable {
    const auto now = Clock::now();
    const Counts counts = tally.counts();
    const double span = std::max(1e-3, std::chrono::duration<double>(now - looked).count());
    std::string line = progress_text(counts, total, static_cast<double>(counts.committed - before) / span);
    looked = now;
    before = counts.committed;
    const std::string wait = tally.slot_wait().text();
    return wait.empty() ? line : line + "  " + wait;
  };
}

std::string progress_text(const Counts& counts, std::uint64_t total, double frames_per_s) {
  std::string text;
  const std::uint64_t seen = counts.committed + counts.refused;
  if (total > 0) {
    text = progress_bar(static_cast<double>(seen), static_cast<double>(total)) + "  " + std::to_string(seen) + " of " +
           std::to_string(total) + " frames  ";
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
