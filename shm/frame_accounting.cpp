#include "shm/frame_accounting.hpp"

#include <chrono>
#include <thread>
#include <vector>

namespace peaknet::shm {
namespace {

constexpr std::chrono::milliseconds kPatience{200};

CounterTotals sum(const ControlLayout& layout) {
  CounterTotals totals{};
  for (std::uint32_t id = 1; id < kMaxParticipants; ++id) {
    for (std::size_t i = 0; i < kCounters; ++i)
      totals[i] += layout.participants[id].counters[i].load(std::memory_order_acquire);
  }
  return totals;
}

bool in_mid_operation(const ControlLayout& layout) {
  for (std::uint32_t id = 1; id < kMaxParticipants; ++id) {
    if (layout.participants[id].intent.old_word.load(std::memory_order_acquire) != 0) return true;
  }
  return false;
}

std::vector<std::uint64_t> words(const Pool* pool) {
  std::vector<std::uint64_t> copy(pool == nullptr ? 0 : pool->geometry().slots);
  for (std::uint32_t slot = 0; slot < copy.size(); ++slot)
    copy[slot] = pool->word(slot).load(std::memory_order_acquire);
  return copy;
}

std::uint64_t outcomes_of(const CounterTotals& totals) {
  std::uint64_t count = 0;
  for (const Counter outcome : kOutcomes) count += totals[static_cast<std::size_t>(outcome)];
  return count;
}

}  // namespace

std::uint64_t FrameAccounting::outcomes() const { return outcomes_of(totals); }

std::uint64_t FrameAccounting::in_flight() const {
  std::uint64_t count = 0;
  for (const SlotState state :
       {SlotState::ready, SlotState::inferring, SlotState::done, SlotState::writing, SlotState::quarantined}) {
    count += slots[static_cast<std::size_t>(state)];
  }
  return count;
}

std::int64_t FrameAccounting::imbalance() const {
  return static_cast<std::int64_t>(total(Counter::committed) - (outcomes() + in_flight()));
}

FrameAccounting read_accounting(const ControlSegment& control_segment, const Pool* pool) {
  const ControlLayout& layout = control_segment.layout();
  FrameAccounting accounting;
  // Where the machine is busy each of those sleeps lasts for milliseconds, and an intent record may say for ever that
  // somebody is half way: it was written over, or its owner is stopped.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (int attempt = 0; attempt < 400 && !accounting.settled; ++attempt) {
    if (attempt >= 60 && std::chrono::steady_clock::now() >= until) break;
    if (attempt >= 50)
      std::this_thread::sleep_for(std::chrono::microseconds(20));  // give a busy system a gap to look into
    const auto words_before = words(pool);
    accounting.totals = sum(layout);
    accounting.settled = !in_mid_operation(layout) && words_before == words(pool) && accounting.totals == sum(layout);
    accounting.slots.fill(0);
    for (const std::uint64_t word : words_before) {
      const auto state = static_cast<std::size_t>(StateWord::unpack(word).state);
      if (state < accounting.slots.size()) ++accounting.slots[state];
    }
  }
  for (std::size_t i = 0; i < kCounters; ++i)
    accounting.run[i] = accounting.totals[i] - layout.run.base[i].load(std::memory_order_acquire);
  return accounting;
}

void begin_run_accounting(const ControlSegment& control_segment) {
  ControlLayout& layout = control_segment.layout();
  const CounterTotals totals = sum(layout);
  for (std::size_t i = 0; i < kCounters; ++i) layout.run.base[i].store(totals[i], std::memory_order_relaxed);
  // What was committed before and is still waiting belongs to the new run: committed counts from the outcomes so far.
  layout.run.base[static_cast<std::size_t>(Counter::committed)].store(outcomes_of(totals), std::memory_order_release);
}

}  // namespace peaknet::shm
