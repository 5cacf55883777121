#include "shm/history.hpp"

#include <optional>
#include <span>

namespace peaknet::shm {
namespace {

template <std::size_t N>
HistoryPoint& place_of(std::array<HistoryPoint, N>& ring, std::int64_t at) {
  return ring[static_cast<std::uint64_t>(at) % N];
}

void write(HistoryPoint& point, const Past& past) {
  point.at.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  point.span_ms.store(past.span_ms, std::memory_order_relaxed);
  point.run.store(past.run, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kMeasures; ++i) point.counts[i].store(past.counts[i], std::memory_order_relaxed);
  point.at.store(past.at, std::memory_order_release);
}

std::optional<Past> read(const HistoryPoint& point) {
  Past past;
  past.at = point.at.load(std::memory_order_acquire);
  past.span_ms = point.span_ms.load(std::memory_order_relaxed);
  past.run = point.run.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kMeasures; ++i) past.counts[i] = point.counts[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (past.at <= 0 || past.span_ms == 0 || point.at.load(std::memory_order_relaxed) != past.at) return std::nullopt;
  return past;
}

std::vector<Past> newest(std::span<const HistoryPoint> ring, std::int64_t now) {
  std::vector<Past> points;
  for (const HistoryPoint& point : ring) {
    const auto past = read(point);
    if (past && past->at <= now && now - past->at < static_cast<std::int64_t>(ring.size())) points.push_back(*past);
  }
  std::sort(points.begin(), points.end(), [](const Past& a, const Past& b) { return a.at < b.at; });
  return points;
}

}  // namespace

void add_second(History& history, const Past& past) {
  if (past.at <= 0) return;
  write(place_of(history.seconds, past.at), past);
  Past minute = past;
  minute.at = past.at / 60;
  HistoryPoint& place = place_of(history.minutes, minute.at);
  if (const auto begun = read(place); begun && begun->at == minute.at) {
    minute.span_ms += begun->span_ms;
    for (std::size_t i = 0; i < kMeasures; ++i) minute.counts[i] += begun->counts[i];
  }
  write(place, minute);
}

std::vector<Past> seconds_of(const History& history, std::int64_t now_s) { return newest(history.seconds, now_s); }
std::vector<Past> minutes_of(const History& history, std::int64_t now_s) { return newest(history.minutes, now_s / 60); }

}  // namespace peaknet::shm
