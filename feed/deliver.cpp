#include "feed/deliver.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace peaknet::feed {
namespace {

// How long one claim waits before it looks at the stop token. Each claim that runs out counts once as refused_full in
// the books although nothing was lost, so this is as long as a stop may take.
constexpr std::chrono::seconds kClaimSlice{1};

// nullopt: stopped.
std::optional<Result<shm::Frame>> claim(shm::Producer& producer, const std::stop_token& stop) {
  for (;;) {
    if (stop.stop_requested()) return std::nullopt;
    auto frame = producer.claim(kClaimSlice);
    const bool waits = producer.member().pool().policy() != shm::FullPolicy::drop_newest;
    if (frame.ok() || frame.error().id != "pool.full" || !waits) return frame;
  }
}

}  // namespace

Delivery deliver(FrameSource& source, std::uint64_t index, shm::Producer& producer, const std::stop_token& stop,
                 const WhenDue& when_due) {
  using Outcome = Delivery::Outcome;
  auto claimed = claim(producer, stop);
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
  auto filled = source.fill(index, {image, frame.info()});
  if (!filled) return {Outcome::bad_frame, false, filled.error()};
  if (when_due) {
    const auto due = when_due(*filled, frame.info());
    if (!due) return {Outcome::bad_frame, false, due.error()};
    if (!*due) return {Outcome::stopped, false, {}};
  }
  if (auto committed = frame.commit(); !committed) return {Outcome::bad_frame, false, committed.error()};
  return {Outcome::committed, filled->narrowed, {}, filled->no_counts};
}

Result<std::unique_ptr<shm::Producer>> attach_producer(const std::string& instance, const std::string& label,
                                                       std::chrono::nanoseconds wait, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  std::mutex mutex;
  std::condition_variable_any nobody;
  for (;;) {
    auto producer = shm::Producer::attach(instance, {.label = label, .full = {}});
    const bool may_come = !producer.ok() && (producer.error().id == "shm.absent" || producer.error().id == "pool.none");
    if (!may_come || stop.stop_requested() || std::chrono::steady_clock::now() >= deadline) return producer;
    std::unique_lock lock(mutex);
    nobody.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
  }
}

}  // namespace peaknet::feed
