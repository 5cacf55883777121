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

inline void leave_behind(std::shared_ptr<void> thing) {
  static std::mutex mutex;
  static auto* const things = new std::vector<std::shared_ptr<void>>;
  const std::lock_guard hold(mutex);
  things->push_back(std::move(thing));
}

}  // namespace peaknet::engine
