// Pool: the mapped frame pool of one epoch: state words, descriptors, slots, addressed from a private geometry.
//
// This class only finds things and checks what it attaches to; who may change which word is the business of Participant
// and of the two clients Producer and Consumer. Creating and retiring pools is peaknetd's business alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "shm/layout.hpp"
#include "shm/segment.hpp"

namespace peaknet::shm {

class Pool {
 public:
  // Make the pool of `epoch`, every slot free, and publish it. peaknetd only. Errors: pool.bad-geometry and those of
  // Segment.
  static Result<std::shared_ptr<Pool>> create(const std::string& instance, std::uint64_t epoch,
                                              const Geometry& geometry, FullPolicy policy, std::uint64_t instance_uuid,
                                              const SegmentOptions& options);
  // Attach. Errors: shm.*, pool.foreign, pool.other-version, pool.damaged: what is wrong with which value.
  static Result<std::shared_ptr<Pool>> open(const std::string& instance, std::uint64_t epoch,
                                            std::uint64_t instance_uuid, Access access);

  const Geometry& geometry() const { return geometry_; }
  std::uint64_t epoch() const { return epoch_; }
  FullPolicy policy() const { return policy_; }
  PoolHeader& header() const { return *header_; }

  std::atomic<std::uint64_t>& word(std::uint32_t slot) const { return words_[slot]; }
  FrameDescriptor& descriptor(std::uint32_t slot) const {
    return *reinterpret_cast<FrameDescriptor*>(descriptors_ + std::size_t{slot} * kDescriptorStride);
  }
  std::byte* image(std::uint32_t slot) const { return payload_ + std::size_t{slot} * geometry_.slot_stride(); }
  std::uint64_t* mask(std::uint32_t slot) const {
    return reinterpret_cast<std::uint64_t*>(image(slot) + geometry_.mask_offset());
  }
  // All slots, for a device that registers the memory: page aligned, contiguous.
  std::span<std::byte> payload() const { return {payload_, std::size_t{geometry_.slots} * geometry_.slot_stride()}; }

  // Keep all of it in memory. Errors: shm.cannot-lock, which is no reason not to go on.
  Status lock() const { return segment_.lock(); }

  // How many slots are in each state now. A snapshot of words read one after the other. Once a pool is retired and all
  // its slots are found free, none is claimed in it any more (see Producer::claim).
  std::array<std::uint32_t, kSlotStates> count_states() const;

 private:
  Pool(Segment segment, const Geometry& geometry, std::uint64_t epoch, FullPolicy policy);
  Segment segment_;
  Geometry geometry_;
  std::uint64_t epoch_;
  FullPolicy policy_;
  PoolHeader* header_;
  std::atomic<std::uint64_t>* words_;
  std::byte* descriptors_;
  std::byte* payload_;
};

}  // namespace peaknet::shm
