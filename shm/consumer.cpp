#include "shm/consumer.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "shm/clock.hpp"

namespace peaknet::shm {
namespace {

constexpr int kRounds = 1000;

SlotState waiting_state(Queue queue) { return queue == Queue::q1 ? SlotState::ready : SlotState::done; }
SlotState held_state(Queue queue) { return queue == Queue::q1 ? SlotState::inferring : SlotState::writing; }

Error frame_lost(std::uint32_t slot) {
  return {
      "frame.lost", "slot " + std::to_string(slot) + " is not held by this consumer any more",
      "no other frame was touched",
      "if this program closes descriptors it did not open, keep it from that and attach again; else some process of "
      "the group overwrites the pool's state words: end it and restart peaknetd"};
}

std::chrono::nanoseconds since(std::uint64_t then_ns) {
  return std::chrono::nanoseconds(monotonic_ns() - static_cast<std::int64_t>(then_ns));
}

}  // namespace

HeldFrame::HeldFrame(HeldFrame&& other) noexcept
    : participant_(std::exchange(other.participant_, nullptr)),
      pool_(other.pool_),
      slot_(other.slot_),
      word_(other.word_),
      descriptor_(other.descriptor_) {}

HeldFrame& HeldFrame::operator=(HeldFrame&& other) noexcept {
  std::swap(participant_, other.participant_);
  std::swap(pool_, other.pool_);
  std::swap(slot_, other.slot_);
  std::swap(word_, other.word_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

ColumnRow HeldFrame::columns() const {
  const ColumnTable& table = pool_->columns();
  if (table.empty()) return {};
  const std::byte* const side = pool_->side(slot_);
  auto row = row_of(table, ColumnRow(side, side + table.side_bytes()), word_.sequence);
  if (row) return std::move(*row);
  participant_->record_error(row.error());
  return table.unknown_row();
}

HeldFrame::~HeldFrame() { give_back(); }

void HeldFrame::give_back() {
  if (Participant* participant = std::exchange(participant_, nullptr))
    participant->give_back(slot_, word_, word_.attempts);
}

void HeldFrame::give_back_suspect() {
  if (Participant* participant = std::exchange(participant_, nullptr))
    participant->give_back(slot_, word_, std::min(word_.attempts + 1, kMaxAttempts - 1));
}

Status HeldFrame::publish(ResultStatus status, std::uint64_t model) {
  Participant* participant = std::exchange(participant_, nullptr);
  if (participant->inherited()) {
    return Error{"member.forked", "this frame belongs to the parent of this process", "nothing was published",
                 "attach again after a fork"};
  }
  if (!participant->holds(slot_, word_)) return frame_lost(slot_);  // the description is somebody else's
  FrameDescriptor& shared = pool_->descriptor(slot_);
  descriptor_.result_status = static_cast<std::uint32_t>(status);
  descriptor_.model = model;
  descriptor_.done_ns = static_cast<std::uint64_t>(monotonic_ns());
  shared = descriptor_;  // the whole checked copy: what others scribbled meanwhile is gone
  const StateWord done{word_.sequence, word_.attempts, 0, SlotState::done};
  const bool skipped = status == ResultStatus::skipped;
  const Counter counter = skipped ? Counter::skipped : Counter::inferred;
  if (!participant->exchange_counted(slot_, word_, done, counter, IntentRule::left_old)) return frame_lost(slot_);
  if (!skipped) participant->time(Stage::infer, std::chrono::nanoseconds(descriptor_.done_ns - descriptor_.take_ns));
  pool_->header().done_event.notify();
  return {};
}

Status HeldFrame::finish(Counter outcome) {
  Participant* participant = std::exchange(participant_, nullptr);
  const StateWord free{word_.sequence, 0, 0, SlotState::free};
  if (!participant->exchange_counted(slot_, word_, free, outcome, IntentRule::left_old)) return frame_lost(slot_);
  if (outcome == Counter::written || outcome == Counter::filtered) {
    participant->time(Stage::write, since(descriptor_.write_ns));
    participant->time(Stage::total, since(descriptor_.commit_ns));
  }
  pool_->header().free_event.notify_one();
  return {};
}

Result<std::unique_ptr<Consumer>> Consumer::attach(const std::string& instance, Queue queue, const std::string& label,
                                                   const Mappings& mappings) {
  auto participant = Participant::attach(instance, queue == Queue::q1 ? Role::daemon : Role::writer, label, mappings);
  if (!participant) return participant.error();
  if (!(*participant)->has_pool()) {
    return Error{"pool.none", "instance '" + instance + "' has no frame pool yet", "",
                 "wait until peaknetd has started"};
  }
  return std::unique_ptr<Consumer>(new Consumer(std::move(*participant), queue));
}

Consumer::Taken Consumer::take(std::size_t most, std::uint64_t below, std::string_view run) {
  Taken taken;
  // Again where somebody else was faster with some: they leave us the frames after those. Not for ever: who writes into
  // the words without a right could keep us here.
  for (int i = 0; i < kRounds && take_some(most, below, run, taken) && taken.frames.size() < most; ++i) {
  }
  return taken;
}

// One look at the queue. True: others took frames that we had seen.
bool Consumer::take_some(std::size_t most, std::uint64_t below, std::string_view run, Taken& taken) {
  bool missed = false;
  Pool& pool = participant_->pool();
  for (const auto& [slot, word] : participant_->oldest(waiting_state(queue_), most - taken.frames.size(), below)) {
    StateWord held = word;
    held.owner = participant_->id();
    held.state = held_state(queue_);
    if (!participant_->exchange(slot, word, held)) {  // or it was dropped as the oldest
      missed = participant_->registered();
      continue;
    }
    FrameDescriptor descriptor = pool.descriptor(slot);
    if (auto good = descriptor.check(pool.geometry()); !good) {
      taken.refused.push_back(good.error());
      if (participant_->exchange_counted(slot, held, {word.sequence, 0, 0, SlotState::free}, Counter::failed_descriptor,
                                         IntentRule::left_old)) {
        pool.header().free_event.notify_one();
      }
      continue;
    }
    const auto now = static_cast<std::uint64_t>(monotonic_ns());
    if (queue_ == Queue::q1) {
      descriptor.set_run(run);
      descriptor.take_ns = now;
      participant_->time(Stage::q1_wait,
                         std::chrono::nanoseconds(static_cast<std::int64_t>(now - descriptor.commit_ns)));
      pool.descriptor(slot) = descriptor;
    } else {
      descriptor.write_ns = now;
      participant_->time(Stage::q2_wait, std::chrono::nanoseconds(static_cast<std::int64_t>(now - descriptor.done_ns)));
      pool.descriptor(slot).last_writer = participant_->number();  // the private copy keeps who had it before
    }
    taken.frames.push_back(HeldFrame(participant_.get(), slot, held, descriptor));
  }
  return missed;
}

bool Consumer::has_work(std::uint64_t below) const { return waiting(below) > 0; }

std::uint32_t Consumer::waiting(std::uint64_t below) const {
  const Pool& pool = participant_->pool();
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto word = StateWord::unpack(pool.word(slot).load(std::memory_order_acquire));
    if (word.state == waiting_state(queue_) && word.sequence < below) ++count;
  }
  return count;
}

EventCount& Consumer::event() const {
  PoolHeader& header = participant_->pool().header();
  return queue_ == Queue::q1 ? header.ready_event : header.done_event;
}

void Consumer::wait_for_work(std::chrono::nanoseconds at_most) {
  const auto ticket = event().prepare();
  if (has_work()) return;
  if (const std::uint64_t asked = close_requested(); asked != 0 && std::exchange(close_seen_, asked) != asked) return;
  const bool woken = event().wait(ticket, at_most);
  if (!woken && participant_->recover_dead() == 0 && event().unchanged_since(ticket) && has_work())
    participant_->count(Counter::late_wakes);
}

std::uint64_t Consumer::close_requested() const {
  const std::uint64_t generation = participant_->layout().run.close_generation.load(std::memory_order_acquire);
  return generation > participant_->record().closed_generation.load(std::memory_order_relaxed) ? generation : 0;
}

void Consumer::closed(std::uint64_t generation) {
  if (!participant_->registered()) return;
  participant_->record().closed_generation.store(generation, std::memory_order_release);
  participant_->layout().control_event.notify();
}

}  // namespace peaknet::shm
