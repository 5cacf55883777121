#include "daemon/service/pool_keeper.hpp"

#include <spdlog/spdlog.h>

#include <chrono>

#include "base/fatal.hpp"
#include "base/text.hpp"

namespace peaknet::service {
namespace {

using shm::SlotState;

int exit_code_of(const Error& error) {
  if (error.id == "shm.no-space" || error.id == "shm.group" || error.id == "shm.numa" ||
      error.id == "pool.bad-geometry" || error.id == "instance.bad-name") {
    return kExitConfig;
  }
  return error.id == "instance.taken" ? kExitUnavailable : kExitCannotCreate;
}

template <class T>
T or_fatal(Result<T> result) {
  if (!result) throw Fatal(result.error(), exit_code_of(result.error()));
  return std::move(*result);
}

// The directory is a small object in /dev/shm; only the pool goes where the operator wants it.
shm::SegmentOptions directory_options(const config::Config& config) {
  return {.mode = config.pool.mode, .group = config.pool.group};
}

shm::SegmentOptions pool_options(const config::Config& config) {
  shm::SegmentOptions options = directory_options(config);
  options.transparent_huge = config.pool.hugepages == config::HugePages::transparent;
  options.folder = config.pool.folder;
  if (!config.pool.numa_node.empty()) options.numa_node = static_cast<std::uint32_t>(std::stoul(config.pool.numa_node));
  return options;
}

}  // namespace

PoolKeeper::PoolKeeper(const config::Config& config)
    : owner_(or_fatal(shm::InstanceOwner::take(config.instance, directory_options(config)))) {
  try {
    take_over(config);
  } catch (...) {  // a refused start leaves nothing behind, unless somebody needs it
    member_.reset();
    owner_->remove_if_unused();
    throw;
  }
}

void PoolKeeper::take_over(const config::Config& config) {
  const auto damage = owner_->unlink_damaged_pool();
  member_ = or_fatal(shm::Member::attach(config.instance, shm::Role::daemon, "supervisor"));
  member_->recover_dead();  // a former daemon above all: what was on its devices goes back to Q1
  const std::uint64_t epoch = layout().epoch.load();
  if (epoch != 0 && !member_->has_pool()) write_off_lost_pool(damage);
  if (member_->has_pool() && member_->pool().geometry() == config.geometry() &&
      member_->pool().policy() == config.pool.full) {
    adopted_ = true;
    lock_pool(config);
    // The last daemon may have died while it replaced this pool: retired, and nobody would ever claim from it again.
    member_->pool().header().header.state.store(shm::SegmentState::live);
    member_->pool().header().free_event.notify();
    spdlog::info("adopted the pool of epoch {}: {} frames wait for a device, {} for a writer", epoch,
                 count(SlotState::ready, shm::kMaxSequence), count(SlotState::done, shm::kMaxSequence));
    return;
  }
  replace_pool(config, epoch);
}

void PoolKeeper::write_off_lost_pool(const std::optional<Error>& damage) {
  const auto lost = std::max<std::int64_t>(0, shm::read_books(directory(), nullptr).imbalance());
  member_->count(shm::Counter::failed_pool_lost, static_cast<std::uint64_t>(lost));
  const Error error{"pool.lost",
                    "the pool that the last peaknetd left is " + (damage ? "damaged: " + damage->what : "gone") + "; " +
                        std::to_string(lost) + " frames were in it and are counted as failed.pool_lost",
                    "frames in files are not concerned",
                    "find out who wrote to /dev/shm or removed something there; a new pool is made now"};
  spdlog::error("{}", error.text());
  member_->note(error);
}

void PoolKeeper::replace_pool(const config::Config& config, std::uint64_t old_epoch) {
  std::shared_ptr<shm::Pool> old = member_->shared_pool();
  if (old) {
    // Nobody claims from a retired pool; who is filling a slot now finishes or dies.
    old->header().header.state.store(shm::SegmentState::retired);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (count(SlotState::filling, shm::kMaxSequence) > 0 && std::chrono::steady_clock::now() < until) {
      auto& freed = old->header().free_event;
      const auto ticket = freed.prepare();
      if (count(SlotState::filling, shm::kMaxSequence) == 0) break;
      freed.wait(ticket);
      member_->recover_dead();
    }
    const std::uint32_t used = old->geometry().slots - old->count_states()[static_cast<std::size_t>(SlotState::free)];
    if (used > 0) {
      old->header().header.state.store(shm::SegmentState::live);
      old->header().free_event.notify();
      throw Fatal({"pool.in-use",
                   "the pool that the last peaknetd left has " + std::to_string(used) + " frames of " +
                       shm::describe(old->geometry()) + " (" + std::to_string(old->geometry().slots) +
                       " slots) in it, the configuration wants " + shm::describe(config.geometry()) + " (" +
                       std::to_string(config.pool.slots) + " slots)",
                   "the frames are where they were",
                   "start once more with the old pool.* keys, with a writer, until peaknetctl wait --for drained; then "
                   "change them"},
                  kExitConfig);
    }
    // An old pool that is empty gives its memory back before the new one is made: there may not be room for both.
    shm::Segment::unlink(shm::pool_name(config.instance, old_epoch));
  }
  const std::uint64_t epoch = old_epoch + 1;
  auto made = shm::Pool::create(config.instance, epoch, config.geometry(), config.pool.full, directory().uuid(),
                                pool_options(config));
  if (!made) {
    if (old) layout().epoch.store(0);  // the old one is gone already: say so rather than name a pool that is not there
    throw Fatal(made.error(), exit_code_of(made.error()));
  }
  layout().epoch.store(epoch, std::memory_order_release);
  if (old) old->header().free_event.notify();
  if (old) old->header().done_event.notify();
  if (auto followed = member_->follow_epoch(); !followed) throw Fatal(followed.error(), kExitCannotCreate);
  lock_pool(config);
  spdlog::info("made the pool of epoch {}: {} slots of {}, {} of shared memory", epoch, config.pool.slots,
               shm::describe(config.geometry()), human_bytes(shm::PoolOffsets(config.geometry()).total));
}

void PoolKeeper::lock_pool(const config::Config& config) {
  if (!config.pool.lock) return;
  if (auto locked = member_->pool().lock(); !locked) {
    spdlog::warn("{}", locked.error().text());
    member_->note(locked.error());
  }
}

PoolKeeper::~PoolKeeper() {
  const std::string instance = directory().instance();
  member_.reset();
  if (owner_->remove_if_unused()) {
    spdlog::info("took the shared memory of instance '{}' away: nothing waits and nobody is attached", instance);
  } else {
    spdlog::info(
        "left the shared memory of instance '{}' for the next peaknetd: frames wait in it or programs are attached",
        instance);
  }
}

void PoolKeeper::tidy() {
  if (!removal_told_ && !member_->named()) {
    removal_told_ = true;
    const Error error{"instance.removed-by-hand",
                      "somebody removed the shared memory of instance '" + directory().instance() + "' from /dev/shm",
                      "programs that are attached go on; no other can attach",
                      "peaknetctl --config FILE stop, then restart peaknetd, and the producers and writers after it"};
    spdlog::error("{}", error.text());
    member_->note(error);
  }
  mend();
  if (const auto slots = member_->recover_dead(); slots > 0)
    spdlog::warn("gave back {} slots of participants that died", slots);
  for (const auto& frame : member_->clear_quarantine()) {
    spdlog::error("{} (event {}) took down its owner {} times and is counted as failed; its slot is free again",
                  frame.frame_name(), frame.event_id, shm::kMaxAttempts);
  }
}

void PoolKeeper::mend() {
  shm::Pool& pool = member_->pool();
  const bool retired = pool.header().header.state.exchange(shm::SegmentState::live) != shm::SegmentState::live;
  const bool renamed = layout().epoch.exchange(pool.epoch()) != pool.epoch();
  if (retired || renamed) {
    const Error error{"shm.overwritten",
                      std::string("somebody overwrote ") +
                          (retired ? "the state of the pool" : "the number of the pool") + " in shared memory",
                      "it has its value again; frames that wait are where they were",
                      "find out which program writes there: peaknetctl producers"};
    spdlog::error("{}", error.text());
    member_->note(error);
    pool.header().free_event.notify();
  }
  odd_words_.resize(pool.geometry().slots);
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const std::uint64_t packed = pool.word(slot).load(std::memory_order_acquire);
    const auto word = shm::StateWord::unpack(packed);
    const bool nobodys = word.held() && (word.owner == 0 || word.owner >= shm::kMaxParticipants ||
                                         layout().participants[word.owner].presence.load() == shm::Presence::never);
    const bool odd = static_cast<int>(word.state) >= shm::kSlotStates || nobodys;
    if (odd && odd_words_[slot] == packed && member_->exchange(slot, word, {word.sequence, 0, 0, SlotState::free})) {
      const Error error{"slot.overwritten",
                        "the word of slot " + std::to_string(slot) + " was one that no program writes",
                        "the slot is free again; a frame that was in it is lost, and the books do not balance by it",
                        "find out which program writes there: peaknetctl producers"};
      spdlog::error("{}", error.text());
      member_->note(error);
      pool.header().free_event.notify();
    }
    odd_words_[slot] = odd ? packed : 0;
  }
}

std::uint32_t PoolKeeper::count(SlotState state, std::uint64_t below) const {
  const shm::Pool& pool = member_->pool();
  std::uint32_t found = 0;
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto word = shm::StateWord::unpack(pool.word(slot).load(std::memory_order_acquire));
    if (word.state == state && word.sequence < below) ++found;
  }
  return found;
}

std::uint32_t PoolKeeper::writers() const {
  std::uint32_t found = 0;
  for (const auto& participant : layout().participants) {
    if (participant.presence.load() == shm::Presence::attached && participant.role.load() == shm::Role::writer) ++found;
  }
  return found;
}

bool PoolKeeper::writers_closed(std::uint64_t generation) const {
  for (const auto& participant : layout().participants) {
    if (participant.presence.load() == shm::Presence::attached && participant.role.load() == shm::Role::writer &&
        participant.closed_generation.load(std::memory_order_acquire) < generation) {
      return false;
    }
  }
  return true;
}

}  // namespace peaknet::service
