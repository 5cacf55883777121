#include "shm/contiguous_frames.hpp"

#include <sys/mman.h>

#include <utility>

namespace peaknet::shm {

void ContiguousFrames::GiveBack::operator()(Participant* participant) const {
  if (participant->exchange(slot, word, {word.sequence, 0, 0, SlotState::free})) {
    participant->pool().header().free_event.notify_one();
  }
}

ContiguousClaims::~ContiguousClaims() { unmap(); }

void ContiguousClaims::unmap() {
  if (images_ != nullptr) ::munmap(images_, pool_->geometry().slots * pool_->geometry().image_bytes());
  images_ = nullptr;
  pool_.reset();
}

void ContiguousClaims::release_old_pool() {
  if (pool_ != producer_.participant().shared_pool()) unmap();
}

bool ContiguousClaims::map(const std::shared_ptr<Pool>& pool) {
  if (pool_ == pool) return true;
  unmap();
  const std::size_t bytes = pool->geometry().image_bytes();
  if (bytes % kPage != 0) return false;
  void* room = ::mmap(nullptr, pool->geometry().slots * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  pool_ = pool;
  images_ = static_cast<std::byte*>(room);
  for (std::uint32_t slot = 0; slot < pool->geometry().slots; ++slot) {
    // An old size of 0 leaves the old mapping and makes another of the same pages (mremap(2)).
    if (::mremap(pool->image(slot), 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, images_ + slot * bytes) == MAP_FAILED) {
      unmap();
      return false;
    }
  }
  return true;
}

// Nothing, if somebody else was faster with one of them.
std::optional<ContiguousFrames> ContiguousClaims::claim_from(std::uint32_t first, std::uint32_t frames,
                                                             std::size_t lead) {
  Participant& participant = producer_.participant();
  const Pool& pool = participant.pool();
  ContiguousFrames row;
  for (std::uint32_t slot = first; slot <= first + frames; ++slot) {
    const auto word = StateWord::unpack(pool.word(slot).load(std::memory_order_relaxed));
    const StateWord mine{participant.next_sequence(), 0, participant.id(), SlotState::filling};
    if (word.state != SlotState::free || !participant.exchange(slot, word, mine)) return std::nullopt;
    if (slot == first) {
      row.before_ = std::unique_ptr<Participant, ContiguousFrames::GiveBack>(&participant, {slot, mine});
    } else {
      participant.count(Counter::claimed);
      row.frames_.push_back(Frame(&producer_, slot, mine, producer_.fresh_info()));
    }
  }
  row.lead_ = lead;
  row.bytes_ = pool.geometry().image_bytes();
  row.memory_ = {images_ + (first + 1) * row.bytes_ - lead, lead + frames * row.bytes_};
  return row;
}

std::optional<ContiguousFrames> ContiguousClaims::claim(std::uint64_t frames, std::size_t lead) {
  Participant& participant = producer_.participant();
  if (frames == 0 || participant.inherited() || !participant.registered() || !participant.pool_is_live())
    return std::nullopt;
  const Pool& pool = participant.pool();
  const std::uint32_t slots = pool.geometry().slots;
  const std::uint32_t free = pool.count_states()[static_cast<std::size_t>(SlotState::free)];
  const std::uint32_t stay = (slots + 1) / 2, lead_slot = 1;
  if (free < stay + lead_slot || frames > free - stay - lead_slot) return std::nullopt;
  if (lead > pool.geometry().image_bytes()) return std::nullopt;
  if (!map(participant.shared_pool())) return std::nullopt;
  const auto count = static_cast<std::uint32_t>(frames);
  for (std::uint32_t slot = 0, length = 0; slot < slots; ++slot) {
    const auto word = StateWord::unpack(pool.word(slot).load(std::memory_order_relaxed));
    length = word.state == SlotState::free ? length + 1 : 0;
    if (length <= count) continue;
    auto row = claim_from(slot - count, count, lead);
    // Retired meanwhile: as in Producer::claim.
    if (row && !participant.pool_is_live()) return std::nullopt;
    if (row) return row;
    length = 0;
  }
  return std::nullopt;
}

}  // namespace peaknet::shm
