#include "shm/producer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "shm/clock.hpp"
#include "shm/copy_image.hpp"

namespace peaknet::shm {
namespace {
constexpr int kRounds = 1000;
}

Frame::Frame(Frame&& other) noexcept
    : producer_(std::exchange(other.producer_, nullptr)),
      slot_(other.slot_),
      word_(other.word_),
      info_(other.info_),
      known_(other.known_) {}

Frame& Frame::operator=(Frame&& other) noexcept {
  std::swap(producer_, other.producer_);
  std::swap(slot_, other.slot_);
  std::swap(word_, other.word_);
  std::swap(info_, other.info_);
  std::swap(known_, other.known_);
  return *this;
}

Frame::~Frame() {
  if (producer_ == nullptr) return;
  Participant& participant = *producer_->participant_;
  if (!participant.exchange(slot_, word_, {word_.sequence, 0, 0, SlotState::free})) return;
  participant.count(Counter::aborted);
  participant.pool().header().free_event.notify_one();
}

std::span<std::byte> Frame::image() const {
  const Pool& pool = producer_->participant_->pool();
  return {pool.image(slot_), pool.geometry().image_bytes()};
}

ColumnWriter Frame::columns() {
  const Pool& pool = producer_->participant_->pool();
  if (pool.columns().empty()) return {};
  return {pool.columns(), pool.side(slot_) + sizeof(SideHeader), known_};
}

Status Frame::fill(std::span<const std::byte> pixels) {
  const auto to = image();
  if (pixels.size() != to.size()) {
    return Error{"frame.other-shape",
                 "an image of " + std::to_string(pixels.size()) + " bytes was given for slot " + std::to_string(slot_) +
                     ", whose images have " + std::to_string(to.size()),
                 "nothing was copied; the slot is still claimed",
                 "give shape and type of the detector in pool.shape and pool.dtype; if the pool was changed, look at "
                 "geometry() again"};
  }
  copy_image(to.data(), pixels);
  return {};
}

Status Frame::commit() {
  Producer* producer = std::exchange(producer_, nullptr);
  Participant& participant = *producer->participant_;
  info_.producer = participant.number();
  info_.producer_seq = producer->next_frame_;
  info_.sequence = word_.sequence;
  info_.result_status = static_cast<std::uint32_t>(ResultStatus::none);
  info_.last_writer = 0;
  info_.model = 0;
  info_.commit_ns = static_cast<std::uint64_t>(monotonic_ns());
  if (participant.inherited()) {
    return Error{"member.forked", "this frame belongs to the parent of this process", "nothing was committed",
                 "attach again after a fork"};
  }
  const StateWord ready{word_.sequence, 0, 0, SlotState::ready};
  const bool ours = participant.holds(slot_, word_);  // else the description is somebody else's
  if (ours) {
    const Pool& pool = participant.pool();
    pool.descriptor(slot_) = info_;
    if (!pool.columns().empty()) {
      const SideHeader side{.table = pool.columns().digest(), .sequence = word_.sequence, .known = known_};
      std::memcpy(pool.side(slot_), &side, sizeof side);
    }
  }
  if (!ours || !participant.exchange_counted(slot_, word_, ready, Counter::committed, IntentRule::left_old)) {
    return Error{"frame.lost", "slot " + std::to_string(slot_) + " is not held by this producer any more",
                 "no other frame was touched",
                 "if this program closes descriptors it did not open, keep it from that and attach again; else some "
                 "process of the group overwrites the pool's state words"};
  }
  ++producer->next_frame_;
  participant.pool().header().ready_event.notify();
  return {};
}

Result<std::unique_ptr<Producer>> Producer::attach(const std::string& instance, const ProducerOptions& options) {
  auto participant = Participant::attach(instance, Role::producer, options.label, options.mappings);
  if (!participant) return participant.error();
  if (!(*participant)->has_pool()) {
    return Error{"pool.none", "instance '" + instance + "' has no frame pool yet", "",
                 "wait until peaknetd has started"};
  }
  return std::unique_ptr<Producer>(new Producer(std::move(*participant), options.full));
}

FrameDescriptor Producer::fresh_info() const {
  const Geometry& geometry = participant_->pool().geometry();
  FrameDescriptor info;
  info.pixel_type = static_cast<std::uint32_t>(geometry.pixel_type);
  info.panels = geometry.panels;
  info.height = info.original_height = geometry.height;
  info.width = info.original_width = geometry.width;
  info.claim_ns = static_cast<std::uint64_t>(monotonic_ns());
  return info;
}

std::optional<Frame> Producer::try_claim(FullPolicy policy) {
  const Pool& pool = participant_->pool();
  const std::uint64_t sequence = participant_->next_sequence();
  const StateWord mine{sequence, 0, participant_->id(), SlotState::filling};
  // The lowest free slot: its memory was used last and is still warm.
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto word = StateWord::unpack(pool.word(slot).load(std::memory_order_relaxed));
    if (word.state == SlotState::free && participant_->exchange(slot, word, mine)) {
      participant_->count(Counter::claimed);
      return Frame(this, slot, mine, fresh_info());
    }
  }
  if (policy != FullPolicy::drop_oldest) return std::nullopt;
  // Others may be faster with the oldest; not for ever, or somebody writes into the words without a right.
  for (int i = 0; i < kRounds && participant_->registered(); ++i) {
    const auto victims = participant_->oldest(SlotState::ready, 1, kMaxSequence);
    if (victims.empty()) break;
    const auto& [slot, word] = victims.front();
    if (participant_->exchange_counted(slot, word, mine, Counter::dropped_oldest, IntentRule::reached_new)) {
      participant_->count(Counter::claimed);
      return Frame(this, slot, mine, fresh_info());
    }
  }
  return std::nullopt;
}

Result<Frame> Producer::claim(std::chrono::nanoseconds at_most) {
  const std::int64_t start = monotonic_ns();
  for (std::chrono::nanoseconds before{0};; before = std::chrono::nanoseconds(monotonic_ns() - start)) {
    auto claimed = claim_step(at_most, before);
    if (!claimed) return claimed.error();
    if (*claimed) return std::move(**claimed);
  }
}

Status Producer::usable() const {
  if (participant_->inherited()) {
    return Error{"member.forked", "this producer belongs to the parent of this process", "nothing was claimed",
                 "attach again after a fork"};
  }
  if (!participant_->registered()) {
    return Error{"member.lost",
                 "this producer was taken for dead, because its lock is gone: something in this process closed its "
                 "descriptor",
                 "nothing was claimed; what it had committed is processed",
                 "attach again, and close no descriptors that others have opened"};
  }
  return {};
}

// A frame, if there is a slot now. Moves over to another pool on the way.
Result<std::optional<Frame>> Producer::look(std::chrono::nanoseconds waited) {
  for (;;) {
    if (!participant_->pool_is_live()) {
      if (participant_->instance_removed()) {
        return Error{"instance.removed", "peaknetd has ended and removed its shared memory",
                     "every committed frame was processed", "attach again when peaknetd runs"};
      }
      if (auto followed = participant_->follow_epoch(); !followed) return followed.error();
    }
    if (!participant_->pool_is_live()) return std::optional<Frame>{};
    const FullPolicy policy = full_.value_or(participant_->pool().policy());
    auto frame = try_claim(policy);
    // Retired meanwhile? peaknetd may have found it drained just before our claim, and would never look at it again.
    if (frame && !participant_->pool_is_live()) continue;
    if (!frame && policy == FullPolicy::drop_newest) return pool_full(policy, waited);
    return frame;
  }
}

Result<std::optional<Frame>> Producer::claim_step(std::chrono::nanoseconds at_most, std::chrono::nanoseconds before) {
  if (auto can = usable(); !can) return can.error();
  auto frame = look(before);
  if (!frame || *frame) return frame;
  const auto policy = [&] { return full_.value_or(participant_->pool().policy()); };
  if (before >= at_most) return pool_full(policy(), before);
  const std::int64_t start = monotonic_ns();
  const bool woken = wait_for_slot(policy(), at_most - before);
  const std::chrono::nanoseconds slept(monotonic_ns() - start);
  // Counted at the end of every wait, however it ends: who stands at a full pool for an hour is seen meanwhile.
  participant_->count(Counter::blocked_ns, static_cast<std::uint64_t>(slept.count()));
  frame = look(before + slept);
  if (frame && *frame && !woken) participant_->count(Counter::late_wakes);
  if (frame && !*frame && before + slept >= at_most) return pool_full(policy(), before + slept);
  return frame;
}

// What a claim of this policy waits for: a free slot, or also one that it may drop. False: the time ran out, and
// whatever there is now came without a wake-up.
bool Producer::wait_for_slot(FullPolicy policy, std::chrono::nanoseconds at_most) {
  PoolHeader& header = participant_->pool().header();
  const bool drops = policy == FullPolicy::drop_oldest;
  const std::array<EventCount::Armed, 2> armed{
      {{&header.free_event, header.free_event.prepare()},
       {&header.ready_event, drops ? header.ready_event.prepare() : EventCount::Ticket{0}}}};
  const auto counts = participant_->pool().count_states();
  const bool there = counts[static_cast<std::size_t>(SlotState::free)] != 0 ||
                     (drops && counts[static_cast<std::size_t>(SlotState::ready)] != 0);
  const bool moved = participant_->layout().epoch.load(std::memory_order_acquire) != participant_->pool().epoch();
  if (participant_->pool_is_live() ? there : moved) return true;
  if (drops ? EventCount::wait_any(armed, at_most) : armed[0].event->wait(armed[0].ticket, at_most)) return true;
  // A slot that comes free without a notification is a lost wake-up, unless we ourselves take it from a dead one.
  return participant_->recover_dead() > 0 || !armed[0].event->unchanged_since(armed[0].ticket) ||
         (drops && !armed[1].event->unchanged_since(armed[1].ticket));
}

Error Producer::pool_full(FullPolicy policy, std::chrono::nanoseconds waited) {
  participant_->count(Counter::refused_full);
  const auto counts = participant_->pool().count_states();
  const auto in = [&](SlotState state) { return std::to_string(counts[static_cast<std::size_t>(state)]); };
  Error full{"pool.full",
             "no free slot after " +
                 std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(waited).count()) +
                 " ms (policy " + name(policy) + "): " + in(SlotState::ready) + " frames wait for a device, " +
                 in(SlotState::inferring) + " are on one, " + in(SlotState::done) + " wait for a writer, " +
                 in(SlotState::writing) + " are being written, " + in(SlotState::filling) + " are being filled",
             "the frame was not taken and is counted as refused; the frames in the pool are still processed",
             "peaknetctl status: is peaknetd running and a writer attached? More pool.slots bridge longer bursts"};
  participant_->record_error(full);
  return full;
}

}  // namespace peaknet::shm
