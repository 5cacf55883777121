#include "feed/deliver.hpp"

#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

namespace peaknet::feed {
namespace {

constexpr std::chrono::hours kForEver{24 * 365 * 100};

// nullopt: stopped. A frame that waits is not refused, however long it takes.
std::optional<Result<shm::Frame>> claim(shm::Producer& producer, const std::stop_token& stop, SlotWait* wait) {
  const auto begin = std::chrono::steady_clock::now();
  for (std::chrono::nanoseconds spent{0}; !stop.stop_requested(); spent = std::chrono::steady_clock::now() - begin) {
    if (wait != nullptr && spent.count() > 0) wait->waits(producer.participant(), spent);
    auto claimed = producer.claim_step(kForEver, spent);
    if (!claimed) return claimed.error();
    if (!*claimed) continue;
    if (wait != nullptr && spent.count() > 0) wait->over(spent);
    return std::move(**claimed);
  }
  return std::nullopt;
}

bool is_zeros(std::span<const std::byte> image) {
  return !image.empty() && image.front() == std::byte{0} &&
         std::memcmp(image.data(), image.data() + 1, image.size() - 1) == 0;
}

// NaN may be written in many ways.
bool is_nan_all_over(std::span<const std::byte> image) {
  for (std::size_t at = 0; at + sizeof(float) <= image.size(); at += sizeof(float)) {
    float pixel = 0;
    std::memcpy(&pixel, image.data() + at, sizeof pixel);
    if (!std::isnan(pixel)) return false;
  }
  return true;
}

Error without_counts(std::uint64_t index) {
  return {"frame.absent", "no pixel of frame " + std::to_string(index) + " has a count: all are NaN or gaps",
          "the frame was not taken", "did the detector, or the program before, give this event?"};
}

}  // namespace

Delivery deliver(FrameSource& source, std::uint64_t index, shm::Producer& producer, const std::stop_token& stop,
                 const WhenDue& when_due, SlotWait* wait) {
  using Outcome = Delivery::Outcome;
  auto claimed = claim(producer, stop, wait);
  if (!claimed) return {Outcome::stopped, false, {}};
  if (!claimed->ok()) {
    if (claimed->error().id == "pool.full") return {Outcome::refused, false, {}};
    return {Outcome::no_pool, false, claimed->error()};
  }
  if (!producer.geometry().same_frames(source.geometry())) {
    return {Outcome::no_pool, false,
            Error{"pool.changed",
                  "the pool has changed to " + describe(producer.geometry()) + ", the frames are " +
                      describe(source.geometry()),
                  "the frames committed before are not affected", "start the feed again for the new pool"}};
  }
  shm::Frame& frame = **claimed;
  const auto image = frame.image();
  return deliver_into(source, index, std::move(frame), image, when_due);
}

Delivery deliver_into(FrameSource& source, std::uint64_t index, shm::Frame frame, std::span<std::byte> image,
                      const WhenDue& when_due) {
  using Outcome = Delivery::Outcome;
  auto filled = source.fill(index, {image, frame.info(), {}, frame.columns()});
  if (!filled) return {Outcome::bad_frame, false, filled.error()};
  const shm::Geometry& geometry = source.geometry();
  if (filled->no_counts >= geometry.pixels() || (geometry.pixel_type == PixelType::float32 && is_nan_all_over(image)))
    return {Outcome::bad_frame, false, without_counts(index)};
  const bool zeros = !filled->blank && is_zeros(image);
  if (when_due) {
    const auto due = when_due(*filled, frame.info());
    if (!due) return {Outcome::bad_frame, false, due.error()};
    if (!*due) return {Outcome::stopped, false, {}};
  }
  if (auto committed = frame.commit(); !committed) return {Outcome::bad_frame, false, committed.error()};
  return {Outcome::committed, filled->narrowed, {}, filled->no_counts, zeros, std::move(filled->column)};
}

Result<std::unique_ptr<shm::Producer>> attach_producer(const std::string& instance, const std::string& label,
                                                       std::chrono::nanoseconds wait, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  std::mutex mutex;
  std::condition_variable_any nobody;
  for (;;) {
    auto producer = shm::Producer::attach(instance, {.label = label, .full = {}});
    // A pool that somebody truncated is replaced by peaknetd.
    const std::string id = producer.ok() ? "" : producer.error().id;
    const bool may_come = id == "shm.absent" || id == "pool.none" || id == "pool.damaged";
    if (!may_come || stop.stop_requested() || std::chrono::steady_clock::now() >= deadline) return producer;
    std::unique_lock lock(mutex);
    nobody.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
  }
}

}  // namespace peaknet::feed
