#include "feed/slot_wait.hpp"

#include <spdlog/spdlog.h>

#include "control/documents.hpp"
#include "control/health.hpp"
#include "shm/books.hpp"

namespace peaknet::feed {
namespace {

constexpr std::chrono::seconds kWorthSaying{2};

}  // namespace

void SlotWait::waits(const shm::Member& member, std::chrono::nanoseconds spent) {
  if (spent < kWorthSaying) return;
  const shm::Directory& directory = member.directory();
  const auto books = shm::read_books(directory, &member.pool());
  const Error why = control::why_full(directory, &member.pool(), control::daemon_alive(directory), books);
  const std::lock_guard lock(mutex_);
  if (why_.empty()) spdlog::warn("waiting for a free slot: {}", why.text());
  why_ = why.what + " (" + why.remedy + ")";
}

void SlotWait::over(std::chrono::nanoseconds spent) {
  const std::lock_guard lock(mutex_);
  if (why_.empty()) return;
  why_.clear();
  spdlog::info("there is a free slot again, after {} s",
               std::chrono::duration_cast<std::chrono::seconds>(spent).count());
}

std::string SlotWait::text() const {
  const std::lock_guard lock(mutex_);
  return why_.empty() ? "" : "waiting: " + why_;
}

}  // namespace peaknet::feed
