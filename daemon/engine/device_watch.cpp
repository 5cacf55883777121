#include "daemon/engine/device_watch.hpp"

#include <string>

namespace peaknet::engine {

Status DeviceWatch::wait_until_idle(device::Device& device, int patience, const char* doing) {
  Status verdict;
  const WaitBound limit{.longest = patience * options_.bound(),
                        .untouched = "no frame was on it for that; other devices go on",
                        .goes_on =
                            [&] {
                              step();
                              verdict = mark_->verdict();
                              return verdict.ok() && !ending_.load();
                            },
                        .now = options_.now};
  auto reached =
      wait_bounded([&](auto slice) { return device.idle_within(slice); }, options_.name + ": " + doing, limit);
  if (!verdict) return verdict;
  step();
  return reached ? device.health() : reached;
}

void DeviceWatch::give_up(const Standing& standing, const std::function<void(const Error& why)>& instead) {
  const Error why{"device.stuck",
                  options_.name + ": a call of the driver (" + standing.call + ") has not returned for " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(standing.time).count()) + " s",
                  "its frames stay on it until then or until peaknetd ends; other devices go on",
                  "see nvidia-smi and dmesg (Xid); restart peaknetd"};
  mark_->give_up(why, [&] { instead(why); });
}

}  // namespace peaknet::engine
