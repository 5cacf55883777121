// What a device that is lost or stuck may still use: it stays until the process ends, and nobody destroys it. A search
// for leaks finds it here.
//
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace peaknet::engine {

struct LeftBehind {
  std::mutex mutex;
  std::vector<std::shared_ptr<void>> things;
};
inline LeftBehind& left_behind() {
  static auto* const all = new LeftBehind;
  return *all;
}

inline void leave_behind(std::shared_ptr<void> thing) {
  if (thing == nullptr) return;
  const std::lock_guard hold(left_behind().mutex);
  left_behind().things.push_back(std::move(thing));
}
// Then the process must not end as others do: what is called at its exit may wait for the device.
inline bool anything_left_behind() {
  const std::lock_guard hold(left_behind().mutex);
  return !left_behind().things.empty();
}

}  // namespace peaknet::engine
