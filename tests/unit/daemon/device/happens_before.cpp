#include "tests/unit/daemon/device/happens_before.hpp"

#include <algorithm>
#include <utility>

namespace peaknet::device::test {

HappensBefore::Actor HappensBefore::add(const std::string& name) {
  const std::lock_guard hold(mutex_);
  names_.push_back(name);
  clocks_.emplace_back();
  return names_.size() - 1;
}

HappensBefore::Clock HappensBefore::step(Actor actor) {
  const std::lock_guard hold(mutex_);
  return step_locked(actor);
}

HappensBefore::Clock HappensBefore::clock(Actor actor) const {
  const std::lock_guard hold(mutex_);
  return clocks_[actor];
}

void HappensBefore::complain(std::string what) {
  const std::lock_guard hold(mutex_);
  violations_.push_back(std::move(what));
}

std::vector<std::string> HappensBefore::violations() const {
  const std::lock_guard hold(mutex_);
  return violations_;
}

HappensBefore::Clock HappensBefore::step_locked(Actor actor) {
  Clock& clock = clocks_[actor];
  if (clock.size() <= actor) clock.resize(actor + 1);
  ++clock[actor];
  return clock;
}

void HappensBefore::learn(Actor actor, const Clock& seen) {
  const std::lock_guard hold(mutex_);
  Clock& clock = clocks_[actor];
  if (clock.size() < seen.size()) clock.resize(seen.size());
  for (std::size_t i = 0; i < seen.size(); ++i) clock[i] = std::max(clock[i], seen[i]);
}

void HappensBefore::split(std::uintptr_t at) {
  auto found = cells_.upper_bound(at);
  if (found == cells_.begin()) return;
  --found;
  if (found->first >= at || found->second.end <= at) return;
  Cell right = found->second;
  found->second.end = at;
  cells_.emplace(at, std::move(right));
}

void HappensBefore::check(const Access& before, const Clock& when, Kind kind, const Access& now) {
  if (before.time == 0 || before.actor == now.actor) return;
  const std::uint64_t known = before.actor < when.size() ? when[before.actor] : 0;
  if (known >= before.time) return;
  violations_.push_back(names_[now.actor] + (kind == Kind::read ? " reads" : " writes") + " (" + now.what +
                        ") what nothing orders after " + names_[before.actor] + " (" + before.what + ")");
}

void HappensBefore::access(Actor actor, const Clock& when, Kind kind, const void* begin, std::size_t bytes,
                           const std::string& what) {
  const std::lock_guard hold(mutex_);
  access_locked(actor, when, kind, begin, bytes, what);
}

void HappensBefore::access_locked(Actor actor, const Clock& when, Kind kind, const void* begin, std::size_t bytes,
                                  const std::string& what) {
  if (bytes == 0) return;
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t to = from + bytes;
  const Access now{actor, actor < when.size() ? when[actor] : 0, what};
  split(from);
  split(to);
  std::uintptr_t at = from;
  while (at < to) {
    auto found = cells_.lower_bound(at);
    if (found == cells_.end() || found->first > at) {  // memory that nobody has touched yet
      const std::uintptr_t end = found == cells_.end() ? to : std::min(to, found->first);
      found = cells_.emplace(at, Cell{end, {}, {}}).first;
    }
    Cell& cell = found->second;
    check(cell.written, when, kind, now);
    if (kind == Kind::write) {
      for (const Access& read : cell.read) check(read, when, kind, now);
      cell.written = now;
      cell.read.clear();
    } else {
      const auto mine =
          std::find_if(cell.read.begin(), cell.read.end(), [&](const Access& read) { return read.actor == actor; });
      if (mine == cell.read.end()) {
        cell.read.push_back(now);
      } else {
        *mine = now;
      }
    }
    at = cell.end;
  }
}

void HappensBefore::host(Kind kind, const void* begin, std::size_t bytes, const std::string& what) {
  const std::lock_guard hold(mutex_);
  access_locked(kHost, step_locked(kHost), kind, begin, bytes, what);
}

void HappensBefore::forget(const void* begin, std::size_t bytes, const std::string& what) {
  const std::lock_guard hold(mutex_);
  access_locked(kHost, step_locked(kHost), Kind::write, begin, bytes, what);
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  cells_.erase(cells_.lower_bound(from), cells_.lower_bound(from + bytes));
}

}  // namespace peaknet::device::test
