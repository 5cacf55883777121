// Consumer: the client for whoever takes frames out of a queue: a device's worker out of Q1, a writer out of Q2.
//
// Q1 are the READY slots in order of sequence, Q2 the DONE slots. Taking a frame makes this consumer the owner of its
// slot; the HeldFrame that it gets must be published (Q1), finished (Q2) or given back, and gives itself back when it
// is destroyed. If the process dies, the frames it held are offered again with attempts() + 1; a frame that took down
// three owners is quarantined. So the work on a frame may be repeated: what must happen once (a file) has to look at
// attempts() and descriptor().last_writer. One thread uses one Consumer and its frames at a time; the frames must go
// before the Consumer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shm/participant.hpp"

namespace peaknet::shm {

enum class Queue { q1, q2 };

class HeldFrame {
 public:
  HeldFrame(HeldFrame&& other) noexcept;
  HeldFrame& operator=(HeldFrame&& other) noexcept;
  HeldFrame(const HeldFrame&) = delete;
  HeldFrame& operator=(const HeldFrame&) = delete;
  ~HeldFrame();

  // A checked private copy: what another process writes into the slot later is not seen here.
  const FrameDescriptor& descriptor() const { return descriptor_; }
  std::uint32_t slot() const { return slot_; }
  std::uint64_t sequence() const { return word_.sequence; }
  std::uint32_t attempts() const { return word_.attempts; }

  std::span<const std::byte> image() const { return {pool_->image(slot_), pool_->geometry().image_bytes()}; }
  std::span<std::uint64_t> mask() const { return {pool_->mask(slot_), pool_->geometry().mask_words()}; }
  const Geometry& geometry() const { return pool_->geometry(); }
  const ColumnTable& column_table() const { return pool_->columns(); }
  // What the producer said of the event in these columns, copied once and checked; empty for a pool without columns. A
  // row that is not this frame's is noted (columns.other-frame), and nothing of it is known.
  ColumnRow columns() const;

  // Q1: the result of that model is in the mask area (or the status says why not): offer the frame to the writers.
  // Errors: frame.lost if the slot is not ours any more.
  Status publish(ResultStatus status, std::uint64_t model = 0);
  // Q2: the frame's life is over and `outcome` (one of kOutcomes) is where it went. Its slot is free afterwards.
  Status finish(Counter outcome);
  // Offer the frame again to the queue it came from, at once.
  void give_back();
  // The same, with attempts() + 1: it was on a device that failed, and may be what made it fail.
  void give_back_suspect();

 private:
  friend class Consumer;
  HeldFrame(Participant* participant, std::uint32_t slot, StateWord word, const FrameDescriptor& descriptor)
      : participant_(participant), pool_(&participant->pool()), slot_(slot), word_(word), descriptor_(descriptor) {}
  Participant* participant_;
  Pool* pool_;
  std::uint32_t slot_;
  StateWord word_;
  FrameDescriptor descriptor_;
};

class Consumer {
 public:
  // Errors: those of Participant::attach, and pool.none while there is no pool.
  static Result<std::unique_ptr<Consumer>> attach(const std::string& instance, Queue queue, const std::string& label,
                                                  const Mappings& mappings = {});

  const Geometry& geometry() const { return participant_->pool().geometry(); }
  Participant& participant() { return *participant_; }

  struct Taken {
    std::vector<HeldFrame> frames;  // smallest sequence first
    std::vector<Error> refused;  // frames whose descriptor was damaged: counted as failed, their slots are free again
  };
  // Takes up to `most` frames with a sequence below `below`. Does not block. Returns fewer only if the queue runs empty
  // or 1000 retries were lost to other consumers. `run` (Q1 only): the id that the frames are stamped with.
  Taken take(std::size_t most, std::uint64_t below = kMaxSequence, std::string_view run = {});

  // Does a frame wait that take() would get?
  bool has_work(std::uint64_t below = kMaxSequence) const;
  std::uint32_t waiting(std::uint64_t below = kMaxSequence) const;

  // Sleep until there may be work, at most `at_most` (capped to kWaitSlice). Call take() and close_requested()
  // afterwards: it returns at once for work, and once for each request to finish files.
  void wait_for_work(std::chrono::nanoseconds at_most);
  // What wakes a sleeper of this queue, for those who wait for several things at once.
  EventCount& event() const;

  // Writers: a request to finish all files, once Q2 is empty: its generation, or 0 if there is none.
  std::uint64_t close_requested() const;
  // Writers: all files are finished and all frames released, up to this generation.
  void closed(std::uint64_t generation);

 private:
  bool take_some(std::size_t most, std::uint64_t below, std::string_view run, Taken& taken);
  Consumer(std::unique_ptr<Participant> participant, Queue queue)
      : participant_(std::move(participant)), queue_(queue) {}
  std::unique_ptr<Participant> participant_;
  Queue queue_;
  std::uint64_t close_seen_ = 0;  // the last request to finish files that wait_for_work() returned for
};

}  // namespace peaknet::shm
