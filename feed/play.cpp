#include "feed/play.hpp"

#include <mutex>
#include <thread>
#include <vector>

#include "base/log_line.hpp"
#include "feed/event_facts.hpp"
#include "feed/original_timing.hpp"
#include "feed/pacing.hpp"
#include "feed/refusals.hpp"

namespace peaknet::feed {
namespace {

Error no_time() {
  return {"replay.no-time", "the first frame has no time of its own, and was not recorded with one",
          "no frame was played", "leave --original-timing out, or give a --rate"};
}

std::optional<PlayFailure> play_share(FrameSource& source, shm::Producer& producer, std::uint64_t first,
                                      std::uint64_t stride, const Pacer& pacer, std::uint64_t batch,
                                      const WhenDue& when_due, FeedCounters& tally, BadFrames bad, Refusals& refusals,
                                      const std::stop_token& stop) {
  std::optional<PlayFailure> absent;
  for (std::uint64_t i = first; i < source.size(); i += stride) {
    if (!pacer.wait_for(i - i % batch, stop)) return absent;
    auto delivery = deliver(source, i, producer, stop, when_due, &tally.slot_wait());
    switch (delivery.outcome) {
      case Delivery::Outcome::committed:
        tally.committed(delivery.narrowed, delivery.no_counts, delivery.zeros);
        if (delivery.column) refusals.remark(*delivery.column);
        break;
      case Delivery::Outcome::refused:
        tally.refused();
        break;
      case Delivery::Outcome::stopped:
        return absent;
      case Delivery::Outcome::bad_frame: {
        PlayFailure failure{delivery.outcome, *delivery.error};
        if (bad == BadFrames::end && failure.error.id != "frame.absent") {
          refusals.count(failure.error);
          return failure;
        }
        refusals.refuse(failure.error);
        if (bad == BadFrames::end && !absent) absent = std::move(failure);
        break;
      }
      case Delivery::Outcome::no_pool:
        return PlayFailure{delivery.outcome, *delivery.error};
    }
  }
  return absent;
}

}  // namespace

std::optional<PlayFailure> play(FrameSource& source, std::span<const std::unique_ptr<shm::Producer>> producers,
                                const Speed& speed, FeedCounters& tally, const std::stop_token& stop, BadFrames bad) {
  Refusals refusals(tally, &producers.front()->participant());
  const Pacer pacer(speed.hz);
  if (producers.size() == 1) {
    OriginalTiming timing;
    const WhenDue when_due = [&](const Filled& filled, const shm::FrameDescriptor& info) -> Result<bool> {
      const std::int64_t time = filled.received_ns.value_or(nanoseconds_of(info.timestamp));
      if (time == 0 && !timing.knows_any()) return no_time();
      const std::uint64_t before = timing.cuts();
      const bool go = timing.wait_for(time, stop, [&] {
        if (timing.cuts() > before)
          log::warn("a pause before the time {} is cut to ten seconds (--original-timing)", info.timestamp >> 32);
      });
      return go;
    };
    return play_share(source, *producers.front(), 0, 1, pacer, speed.batch, speed.original ? when_due : WhenDue{},
                      tally, bad, refusals, stop);
  }

  // One thread that fails stops the others; so does the caller.
  std::stop_source all;
  const std::stop_callback relay(stop, [&all] { all.request_stop(); });
  std::mutex mutex;
  std::optional<PlayFailure> first_failure;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < producers.size(); ++i) {
      threads.emplace_back([&, i] {
        auto failure = play_share(source, *producers[i], i, producers.size(), pacer, speed.batch, {}, tally, bad,
                                  refusals, all.get_token());
        if (!failure) return;
        all.request_stop();
        const std::lock_guard lock(mutex);
        if (!first_failure) first_failure = std::move(failure);
      });
    }
  }
  return first_failure;
}

}  // namespace peaknet::feed
