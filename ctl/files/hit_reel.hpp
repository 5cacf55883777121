// HitReel: the last hits of an instance as pictures, from its Tap: no producer, device or writer waits for it or knows
// of it, and no daemon is needed. At most one picture a second is drawn; hits between them pass unseen.
//
// Threads: follow() in one of its own; the rest from any. Errors: where the instance cannot be looked at, it is tried
// again, and the hits that were seen stay.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>

#include "ctl/files/hit_picture.hpp"

namespace peaknet::ctl {

class HitReel {
 public:
  static constexpr std::size_t kMost = 50;

  HitReel(std::string instance, PictureSettings settings)
      : instance_(std::move(instance)), settings_(std::move(settings)) {}

  // Until it is asked to stop.
  void follow(const std::stop_token& stop);

  // {"id", "run", "producer", "number", "event_id", "peaks", "photon_energy_ev", "committed"}, the oldest first.
  nlohmann::json hits() const;
  // As PNG; null: it is not, or no longer, among them.
  std::shared_ptr<const std::string> picture(std::uint64_t id) const;
  std::shared_ptr<const std::string> latest() const;

 private:
  struct Hit {
    std::uint64_t id;
    nlohmann::json about;
    std::shared_ptr<const std::string> png;
  };
  void keep(const shm::TapFrame& frame, std::size_t peaks, std::string png);

  std::string instance_;
  PictureSettings settings_;
  mutable std::mutex mutex_;
  std::deque<Hit> hits_;
  std::uint64_t next_id_ = 1;
};

}  // namespace peaknet::ctl
