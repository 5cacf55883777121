// ContiguousFrames: claimed slots whose images are one piece of memory.
//
// In the pool a mask lies between two images. Who gets several images out of one call (deflate has no other way) would
// have to copy each of them into its slot afterwards. ContiguousClaims maps the images of a pool once more, one after
// the other without the masks, and claims slots that are neighbours there: the call can write into the slots
// themselves.
//
// Nobody is kept out of the pool for the sake of a row: it is claimed at once or not at all, drops no frame, and leaves
// at least half of the slots free. Who gets none goes the other way: claim() and a copy. If the process dies, the slots
// of a row are free again like those of any claim. One thread uses a ContiguousClaims, and the Producer it is for, at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "shm/producer.hpp"

namespace peaknet::shm {

class ContiguousFrames {
 public:
  // The bytes before the first image that were asked for, then all images without a gap. What is written here is in
  // the slots.
  std::span<std::byte> memory() const { return memory_; }
  std::span<std::byte> image(std::size_t index) const { return memory_.subspan(lead_ + index * bytes_, bytes_); }
  // As claim() gives them: each is committed or destroyed before this row goes. In the order of their images.
  std::vector<Frame>& frames() { return frames_; }

 private:
  friend class ContiguousClaims;
  // The slot before the first: its image has the bytes before the others'. No frame, so no claim in the counters
  // either.
  struct GiveBack {
    std::uint32_t slot;
    StateWord word;
    void operator()(Participant* participant) const;
  };
  std::span<std::byte> memory_;
  std::size_t lead_ = 0, bytes_ = 0;
  std::unique_ptr<Participant, GiveBack> before_;
  std::vector<Frame> frames_;
};

class ContiguousClaims {
 public:
  // `producer` must live longer.
  explicit ContiguousClaims(Producer& producer) : producer_(producer) {}
  ~ContiguousClaims();
  ContiguousClaims(const ContiguousClaims&) = delete;
  ContiguousClaims& operator=(const ContiguousClaims&) = delete;

  // `frames` slots, and `lead` bytes before their images. The row must go before this object and before the producer's
  // next claim. None: so many neighbours are not free, or not half of the pool beside them; images of this pool are
  // not whole pages, or shorter than `lead`; the producer has no live pool (its claim() says why).
  std::optional<ContiguousFrames> claim(std::uint64_t frames, std::size_t lead);
  // Unmap the images of a pool that the producer has left: its memory is nobody's as long as it is mapped anywhere.
  void release_old_pool();

 private:
  bool map(const std::shared_ptr<Pool>& pool);
  void unmap();
  std::optional<ContiguousFrames> claim_from(std::uint32_t first, std::uint32_t frames, std::size_t lead);
  Producer& producer_;
  std::shared_ptr<Pool> pool_;  // whose images are mapped
  std::byte* images_ = nullptr;
};

}  // namespace peaknet::shm
