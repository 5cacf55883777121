// Producer: the client for everything that fills the pool.
//
//   auto producer = peaknet::shm::Producer::attach("mfx", {.label = "my-detector"});
//   auto frame = producer->claim(std::chrono::seconds(1));      // a free slot, ours until commit
//   frame->fill(pixels);                                        // or write it into frame->image() yourself
//   frame->info().timestamp = seconds << 32 | nanoseconds;
//   frame->commit();                                            // from here on the frame exists
//
// Write the image straight into the slot, or let fill() copy it there: nothing copies it again. Any process of the
// pool's group may be a producer, as many as 255 at once; one thread uses one Producer at a time. The frames of one
// producer are taken in the order of its claims.
//
// If the process dies: a frame that was not committed never existed, its slot is free again within a tenth of a second;
// a frame that was committed will be processed. While peaknetd is down, producers go on until the pool is full; then
// the pool's policy holds (pool.full): wait, refuse the new frame, or drop the oldest that nobody has taken yet. Every
// such frame is counted.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "shm/participant.hpp"

namespace peaknet::shm {

// A claimed slot. Move-only. Destroyed without commit, it gives the slot back and the frame never existed.
class Frame {
 public:
  Frame(Frame&& other) noexcept;
  Frame& operator=(Frame&& other) noexcept;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame();

  // The pixels, C*H*W of the pool's type, page aligned. Holds what the slot's last frame left there.
  std::span<std::byte> image() const;
  template <class Pixel>
  std::span<Pixel> pixels() const {
    const auto bytes = image();
    return {reinterpret_cast<Pixel*>(bytes.data()), bytes.size() / sizeof(Pixel)};
  }
  // An image that is in memory already, all of its bytes in the pool's type and order, copied into the slot at the most
  // that one thread can move (copy_image.hpp). Errors: frame.other-shape, if it is not as large as the pool's images:
  // nothing was copied.
  Status fill(std::span<const std::byte> pixels);
  // What is known about the frame; set what you know before the commit. Shape and type are those of the pool already,
  // photon energy is NaN (not known), the valid area is the whole panel.
  FrameDescriptor& info() { return info_; }

  // Hand the frame over. Errors: frame.lost, if the slot is not ours any more (someone wrote over its state word).
  Status commit();

 private:
  friend class Producer;
  friend class ContiguousClaims;
  Frame(class Producer* producer, std::uint32_t slot, StateWord word, const FrameDescriptor& info)
      : producer_(producer), slot_(slot), word_(word), info_(info) {}
  Producer* producer_;
  std::uint32_t slot_;
  StateWord word_;
  FrameDescriptor info_;
};

struct ProducerOptions {
  std::string label = "producer";
  std::optional<FullPolicy> full = std::nullopt;  // instead of the pool's own policy
  Mappings mappings = {};                         // see Participant::attach
};

class Producer {
 public:
  // Errors: those of Participant::attach, and pool.none while peaknetd has made no pool.
  static Result<std::unique_ptr<Producer>> attach(const std::string& instance, const ProducerOptions& options = {});

  const Geometry& geometry() const { return participant_->pool().geometry(); }
  std::uint64_t number() const { return participant_->number(); }
  std::uint64_t committed() const { return next_frame_; }

  // A free slot, waiting for it as the policy says but not longer than `at_most`. The frame must be committed or
  // destroyed before this Producer goes. When peaknetd changes the pool this moves over to the new one by itself: look
  // at geometry() if you keep a copy of it. Errors: pool.full (counted as refused; what the state of the pool was),
  // instance.removed, member.forked (this is the client of another process), member.lost (taken for dead: attach
  // again), pool.held (the pool was replaced while you hold frames of it: commit or destroy them first).
  Result<Frame> claim(std::chrono::nanoseconds at_most);

  // One step of such a claim, for who must look up from a long wait: no frame if there is none within `step`, and
  // nothing is counted then. Call again with the time that went by `before`; the end of `at_most` is as that of claim.
  Result<std::optional<Frame>> claim_step(std::chrono::nanoseconds at_most, std::chrono::nanoseconds before,
                                          std::chrono::nanoseconds step);

  Participant& participant() { return *participant_; }

 private:
  friend class Frame;
  friend class ContiguousClaims;
  Producer(std::unique_ptr<Participant> participant, std::optional<FullPolicy> full)
      : participant_(std::move(participant)), full_(full) {}
  std::optional<Frame> try_claim(FullPolicy policy);
  bool wait_for_slot(FullPolicy policy, std::chrono::nanoseconds at_most);
  FrameDescriptor fresh_info() const;
  Error pool_full(FullPolicy policy, std::chrono::nanoseconds waited);
  std::unique_ptr<Participant> participant_;
  std::optional<FullPolicy> full_;
  std::uint64_t next_frame_ = 0;
};

}  // namespace peaknet::shm
