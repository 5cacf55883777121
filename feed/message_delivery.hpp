// MessageDelivery: one message from the network into the pool. Where slots side by side are free, a decoder that must
// unpack a message as a whole unpacks it into them (DecodeBuffer), and nothing is copied.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "feed/decoders/decoder.hpp"
#include "feed/deliver.hpp"
#include "shm/contiguous_frames.hpp"

namespace peaknet::feed {

// One thread at a time. Gives back what slots it still holds when it goes, so it must go before the thread waits for
// the next message: peaknetd cannot replace a pool of which somebody holds a slot.
class MessageDelivery {
 public:
  // `rows` are kept from message to message, and are those of `producer`.
  MessageDelivery(shm::Producer& producer, shm::ContiguousClaims& rows) : producer_(producer), rows_(rows) {}

  // Decoder::open for the producer's pool; once. The source must go before this.
  Result<std::unique_ptr<FrameSource>> open(Decoder& decoder, std::span<const std::byte> message);
  // As feed::deliver, of that source or one that shows its frames; each frame once.
  Delivery deliver(FrameSource& source, std::uint64_t index, const std::stop_token& stop, SlotWait* wait = nullptr);

 private:
  shm::Producer& producer_;
  shm::ContiguousClaims& rows_;
  std::optional<shm::ContiguousFrames> row_;  // if the message was unpacked into slots
};

}  // namespace peaknet::feed
