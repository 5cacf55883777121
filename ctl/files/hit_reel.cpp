#include "ctl/files/hit_reel.hpp"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <utility>

#include "shm/clock.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLook = 100ms;  // a tap has no event to wait for
constexpr auto kRest = 1s;     // after a picture, and where there is no instance
constexpr std::uint32_t kSide = 800;

}  // namespace

void HitReel::follow(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any asked;
  std::unique_lock lock(mutex);
  HitPictures pictures(settings_);
  while (!stop.stop_requested()) {
    // A tap of an instance that was removed sees nothing any more, and frame numbers begin anew with the next one.
    const auto tap = shm::Tap::open(instance_);
    shm::TapFrame frame;
    for (bool good = bool(tap); good && !stop.stop_requested();) {
      const auto fresh = (*tap)->latest(frame, shm::Tap::Want::result);
      good = fresh || fresh.error().id == "tap.overrun";
      bool drawn = false;
      if (fresh && *fresh) {
        if (const auto peaks = pictures.peaks_of(frame)) {
          if (const auto picture = pictures.draw(frame, *peaks, {}, kSide))
            keep(frame, peaks->size(), png_of(picture->canvas));
          drawn = true;
        }
      }
      asked.wait_for(lock, stop, drawn ? kRest : kLook, [] { return false; });
    }
    asked.wait_for(lock, stop, kRest, [] { return false; });
  }
}

void HitReel::keep(const shm::TapFrame& frame, std::size_t peaks, std::string png) {
  if (png.empty()) return;
  const shm::FrameDescriptor& of = frame.descriptor;
  const auto age = shm::monotonic_ns() - static_cast<std::int64_t>(of.commit_ns);
  Hit hit{0, {}, std::make_shared<const std::string>(std::move(png))};
  const std::lock_guard guard(mutex_);
  hit.id = next_id_++;
  hit.about = {{"id", hit.id},
               {"run", of.run_id()},
               {"producer", of.producer},
               {"number", of.producer_seq},
               {"event_id", of.event_id},
               {"peaks", peaks},
               {"photon_energy_ev", std::isfinite(of.photon_energy_ev) ? json(of.photon_energy_ev) : json(nullptr)},
               {"committed", static_cast<double>((shm::realtime_ns() - age) / 1'000'000) / 1e3}};
  hits_.push_back(std::move(hit));
  if (hits_.size() > kMost) hits_.pop_front();
}

json HitReel::hits() const {
  const std::lock_guard guard(mutex_);
  json list = json::array();
  for (const Hit& hit : hits_) list.push_back(hit.about);
  return list;
}

std::shared_ptr<const std::string> HitReel::picture(std::uint64_t id) const {
  const std::lock_guard guard(mutex_);
  for (const Hit& hit : hits_) {
    if (hit.id == id) return hit.png;
  }
  return nullptr;
}

std::shared_ptr<const std::string> HitReel::latest() const {
  const std::lock_guard guard(mutex_);
  return hits_.empty() ? nullptr : hits_.back().png;
}

}  // namespace peaknet::ctl
