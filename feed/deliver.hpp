// deliver: one frame of a source into the pool. The only place where the feed commits slots.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "feed/frame_source.hpp"
#include "feed/slot_wait.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

struct Delivery {
  enum class Outcome {
    committed,  // the frame is in Q1
    refused,    // the pool is full and its policy refuses new frames: the counters count it as refused_full
    stopped,    // asked to stop while waiting for a slot
    bad_frame,  // `error`: the source could not give this frame; its slot was given back
    no_pool,    // `error`: there is no pool for such frames any more; going on makes no sense
  };
  Outcome outcome = Outcome::committed;
  bool narrowed = false;  // see Filled
  std::optional<Error> error;
  std::uint64_t no_counts = 0;                 // see Filled
  bool zeros = false;                          // nothing but zeros, and not on purpose
  std::optional<Error> column = std::nullopt;  // see Filled
};

// Claim a slot, let `source` fill it with frame `index`, commit it. Under the policies that wait (block, and
// drop_oldest while nothing can be dropped) this waits for as long as it takes or until `stop`.
//
// `when_due`: called with the filled slot before it is committed, to let it wait for its time. False: stopped, or an
// error of its own; the slot is given back.
using WhenDue = std::function<Result<bool>(const Filled& filled, const shm::FrameDescriptor& info)>;
// `wait`: is told of a wait for a slot.
// A frame in which no pixel has a count (all are NaN, or gaps) is none: frame.absent.
Delivery deliver(FrameSource& source, std::uint64_t index, shm::Producer& producer, const std::stop_token& stop,
                 const WhenDue& when_due = {}, SlotWait* wait = nullptr);

// The same, once a slot is claimed; `image` is where its pixels are mapped.
Delivery deliver_into(FrameSource& source, std::uint64_t index, shm::Frame frame, std::span<std::byte> image,
                      const WhenDue& when_due = {});

// Attach to an instance. Where peaknetd has not made it (or its pool) yet, try again for `wait`, or until `stop`.
// Errors: those of shm::Producer::attach.
Result<std::unique_ptr<shm::Producer>> attach_producer(const std::string& instance, const std::string& label,
                                                       std::chrono::nanoseconds wait, const std::stop_token& stop);

}  // namespace peaknet::feed
