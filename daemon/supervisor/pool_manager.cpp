#include "daemon/supervisor/pool_manager.hpp"

#include <chrono>

#include "base/control_groups.hpp"
#include "base/fatal.hpp"
#include "base/log_line.hpp"
#include "base/text.hpp"
#include "daemon/supervisor/pool_options.hpp"

namespace peaknet::supervisor {
namespace {

using shm::SlotState;

int exit_code_of(const Error& error) {
  if (error.id == "shm.group" || error.id == "shm.numa" || error.id == "pool.bad-geometry" ||
      error.id == "instance.bad-name" || error.id == "pool.over-limit") {
    return kExitConfig;
  }
  return error.id == "instance.taken" ? kExitUnavailable : kExitCannotCreate;
}

template <class T>
T or_fatal(Result<T> result) {
  if (!result) throw Fatal(result.error(), exit_code_of(result.error()));
  return std::move(*result);
}

// The control segment is a small object in /dev/shm; only the pool goes where the operator wants it.
shm::SegmentOptions directory_options(const config::Config& config) {
  return {.mode = config.pool.mode, .group = config.pool.group};
}

}  // namespace

PoolManager::PoolManager(const config::Config& config)
    : config_(config), owner_(or_fatal(shm::InstanceOwner::take(config.instance, directory_options(config)))) {
  try {
    take_over();
  } catch (...) {  // a refused start leaves nothing behind, unless somebody needs it
    participant_.reset();
    layout().daemon.state.store(state_found_);
    owner_->remove_if_unused();
    throw;
  }
}

void PoolManager::take_over() {
  state_found_ = layout().daemon.state.load();
  layout().daemon.state.store(shm::DaemonState::starting);
  const auto damage = owner_->unlink_damaged_pool();
  participant_ = or_fatal(shm::Participant::attach(config_.instance, shm::Role::daemon, "supervisor"));
  participant_->recover_dead();  // a former daemon above all: what was on its devices goes back to Q1
  const std::uint64_t epoch = layout().epoch.load();
  if (epoch != 0 && !participant_->has_pool()) write_off_lost_pool(damage);
  const bool same_columns = participant_->has_pool() && participant_->pool().columns() == config_.feed.columns.table;
  const bool as_configured = same_columns && participant_->pool().geometry() == config_.geometry();
  const bool as_asked = same_columns && asked_in_place_of_configured(participant_->pool());
  if (!(as_configured || as_asked) || participant_->pool().policy() != config_.pool.full) {
    replace_pool(epoch);
    return;
  }
  adopted_ = true;
  remove_empty_former(epoch);
  lock_pool();
  // The last daemon may have died while it replaced this pool: retired, and nobody would ever claim from it again.
  open_pool();
  show_pool();
  log::info("adopted the pool of epoch {}: {} frames wait for a device, {} for a writer", epoch,
            count(SlotState::ready, shm::kMaxSequence), count(SlotState::done, shm::kMaxSequence));
  if (!as_configured) {
    log::warn("the pool has the {} slots of {} that rebuffer gave it, the configuration says {} of {}",
              participant_->pool().geometry().slots, shm::describe(participant_->pool().geometry()), config_.pool.slots,
              shm::describe(config_.geometry()));
  }
}

// Any member of the group may have written there: it is compared, and nothing else.
bool PoolManager::asked_in_place_of_configured(const shm::Pool& pool) const {
  const shm::Geometry configured = config_.geometry();
  return pool.header().in_place_of == std::array<std::uint32_t, 5>{configured.slots, configured.panels,
                                                                   configured.height, configured.width,
                                                                   static_cast<std::uint32_t>(configured.pixel_type)};
}

// What a daemon leaves that died after the next pool was named. Nobody claims in it, so an empty one stays empty.
void PoolManager::remove_empty_former(std::uint64_t epoch) const {
  if (epoch < 2) return;
  const auto former = shm::Pool::open(config_.instance, epoch - 1, control_segment().uuid(), shm::Access::read_only);
  if (former && (*former)->count_states()[static_cast<std::size_t>(SlotState::free)] == (*former)->geometry().slots)
    drop(**former);
}

void PoolManager::write_off_lost_pool(const std::optional<Error>& damage) {
  const auto lost = std::max<std::int64_t>(0, shm::read_accounting(control_segment(), nullptr).imbalance());
  participant_->count(shm::Counter::failed_pool_lost, static_cast<std::uint64_t>(lost));
  const Error error{"pool.lost",
                    "the pool that the last peaknetd left is " + (damage ? "damaged: " + damage->what : "gone") + "; " +
                        std::to_string(lost) + " frames were in it and are counted as failed.pool_lost",
                    "frames in files are not concerned",
                    "find out who wrote to /dev/shm or removed something there; a new pool is made now"};
  record_error(error);
}

void PoolManager::replace_pool(std::uint64_t old_epoch) {
  std::shared_ptr<shm::Pool> old = participant_->shared_pool();
  if (old) {
    close_pool();  // who is filling a slot now finishes or dies
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (count(SlotState::filling, shm::kMaxSequence) > 0 && std::chrono::steady_clock::now() < until) {
      auto& freed = old->header().free_event;
      const auto ticket = freed.prepare();
      if (count(SlotState::filling, shm::kMaxSequence) == 0) break;
      freed.wait(ticket);
      participant_->recover_dead();
    }
    if (const std::uint32_t frames = used(); frames > 0) {
      open_pool();
      throw Fatal({"pool.in-use",
                   "the pool that the last peaknetd left has " + std::to_string(frames) + " frames of " +
                       shm::describe(old->geometry()) + " (" + std::to_string(old->geometry().slots) +
                       " slots) in it, the configuration wants " + shm::describe(config_.geometry()) + " (" +
                       std::to_string(config_.pool.slots) + " slots)" +
                       (old->columns() == config_.feed.columns.table ? "" : ", with other feed.columns"),
                   "the frames are where they were",
                   "start once more with the old pool.* and feed.columns keys, with a writer, until peaknetctl wait "
                   "--for drained; then "
                   "change them"},
                  kExitConfig);
    }
    // An old pool that is empty gives its memory back before the new one is made: there may not be room for both.
    drop(*old);
  }
  auto made = make_next(old_epoch, config_.geometry());
  if (!made) {
    if (old) layout().epoch.store(0);  // the old one is gone already: say so rather than name a pool that is not there
    throw Fatal(made.error(), exit_code_of(made.error()));
  }
  if (auto named = name_pool((*made)->epoch()); !named) throw Fatal(named.error(), kExitCannotCreate);
  open_pool();
}

Result<std::shared_ptr<shm::Pool>> PoolManager::make_next(std::uint64_t epoch, const shm::Geometry& geometry) const {
  const std::uint64_t bytes = shm::PoolOffsets(geometry).total;
  const std::string folder = config_.pool.folder.empty() ? "/dev/shm" : config_.pool.folder;
  if (auto room = group_has_room(bytes, folder); !room) return room.error();
  const auto group = group_memory();
  log::info("reserving {} in {}{}", human_bytes(bytes), folder, group ? "; " + group->text() : std::string());
  auto made = shm::Pool::create(config_.instance, epoch + 1, geometry, config_.pool.full, control_segment().uuid(),
                                pool_options(config_), config_.feed.columns.table);
  if (!made) return made;
  shm::PoolHeader& header = (*made)->header();
  header.header.state.store(shm::SegmentState::retired);  // nobody claims before open_pool()
  const shm::Geometry configured = config_.geometry();
  if (geometry != configured) {
    header.in_place_of = {configured.slots, configured.panels, configured.height, configured.width,
                          static_cast<std::uint32_t>(configured.pixel_type)};
  }
  return made;
}

void PoolManager::drop(const shm::Pool& pool) const {
  shm::Segment::unlink(shm::pool_name(config_.instance, pool.epoch()));
}

void PoolManager::close_pool() {
  pool_state_ = shm::SegmentState::retired;
  participant_->pool().header().header.state.store(pool_state_);
}

void PoolManager::open_pool() {
  pool_state_ = shm::SegmentState::live;
  participant_->pool().header().header.state.store(pool_state_);
  participant_->pool().header().free_event.notify();
}

std::uint32_t PoolManager::used() const {
  const shm::Pool& pool = participant_->pool();
  return pool.geometry().slots - pool.count_states()[static_cast<std::size_t>(SlotState::free)];
}

Status PoolManager::name_pool(std::uint64_t epoch) {
  const std::shared_ptr<shm::Pool> old = participant_->shared_pool();
  const std::uint64_t before = layout().epoch.exchange(epoch, std::memory_order_acq_rel);
  if (auto followed = participant_->follow_epoch(); !followed) {
    layout().epoch.store(before, std::memory_order_release);
    return followed.error();
  }
  if (old) old->header().free_event.notify();
  if (old) old->header().done_event.notify();
  odd_words_.clear();
  lock_pool();
  show_pool();
  const shm::Geometry& geometry = participant_->pool().geometry();
  log::info("the pool of epoch {}: {} slots of {}, {} of shared memory", epoch, geometry.slots, shm::describe(geometry),
            human_bytes(shm::PoolOffsets(geometry).total));
  return {};
}

Status PoolManager::move_to(const std::shared_ptr<shm::Pool>& next) {
  participant_->recover_dead();  // a dead one's intent record is read against the pool it was in
  const std::shared_ptr<shm::Pool> left = participant_->shared_pool();
  if (auto named = name_pool(next->epoch()); !named) return named;
  former_ = left;
  return {};
}

Status PoolManager::move_back() {
  const std::shared_ptr<shm::Pool> left = participant_->shared_pool();
  if (auto named = name_pool(former_->epoch()); !named) return named;
  drop(*left);
  former_.reset();
  return {};
}

void PoolManager::forget_former() {
  if (former_) drop(*former_);
  former_.reset();
}

std::shared_ptr<shm::Pool> PoolManager::pool() const {
  const std::lock_guard hold(shown_mutex_);
  return shown_;
}

void PoolManager::show_pool() {
  const std::lock_guard hold(shown_mutex_);
  shown_ = participant_->shared_pool();
}

void PoolManager::lock_pool() {
  if (!config_.pool.lock) return;
  if (auto locked = participant_->pool().lock(); !locked) {
    log::warn("{}", locked.error().text());
    participant_->record_error(locked.error());
  }
}

PoolManager::~PoolManager() {
  const std::string instance = control_segment().instance();
  participant_.reset();
  if (owner_->remove_if_unused()) {
    log::info("removed the shared memory of instance '{}' (not in use)", instance);
  } else {
    log::info(
        "left the shared memory of instance '{}' for the next peaknetd: frames wait in it or programs are attached",
        instance);
  }
}

void PoolManager::record_error(const Error& error) const {
  log::error("{}", error.text());
  participant_->record_error(error);
}

void PoolManager::maintain() {
  if (!removal_told_ && !participant_->named()) {
    removal_told_ = true;
    const Error error{
        "instance.removed-by-hand",
        "somebody removed the shared memory of instance '" + control_segment().instance() + "' from /dev/shm",
        "programs that are attached keep running; no other can attach",
        "peaknetctl --config FILE stop, then restart peaknetd, and the producers and writers after it"};
    record_error(error);
  }
  repair();
  if (const auto slots = participant_->recover_dead(); slots > 0)
    log::warn("gave back {} slots of participants that died", slots);
  for (const auto& frame : participant_->clear_quarantine()) {
    log::error("{} (event {}) took down its owner {} times and is counted as failed; its slot is free again",
               frame.frame_name(), frame.event_id, shm::kMaxAttempts);
  }
}

void PoolManager::repair() {
  shm::Pool& pool = participant_->pool();
  const bool retired = pool.header().header.state.exchange(pool_state_) != pool_state_;
  const bool renamed = layout().epoch.exchange(pool.epoch()) != pool.epoch();
  if (retired || renamed) {
    const Error error{"shm.overwritten",
                      std::string("somebody overwrote ") +
                          (retired ? "the state of the pool" : "the number of the pool") + " in shared memory",
                      "it has its value again; frames that wait are where they were",
                      "find out which program writes there: peaknetctl producers"};
    record_error(error);
    pool.header().free_event.notify();
  }
  odd_words_.resize(pool.geometry().slots);
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const std::uint64_t packed = pool.word(slot).load(std::memory_order_acquire);
    const auto word = shm::StateWord::unpack(packed);
    const bool nobodys = word.held() && (word.owner == 0 || word.owner >= shm::kMaxParticipants ||
                                         layout().participants[word.owner].presence.load() == shm::Presence::never);
    const bool odd = static_cast<int>(word.state) >= shm::kSlotStates || nobodys;
    if (odd && odd_words_[slot] == packed &&
        participant_->exchange(slot, word, {word.sequence, 0, 0, SlotState::free})) {
      const Error error{"slot.overwritten",
                        "the word of slot " + std::to_string(slot) + " was one that no program writes",
                        "the slot is free again; a frame that was in it is lost, and the counters do not balance by it",
                        "find out which program writes there: peaknetctl producers"};
      log::error("{}", error.text());
      participant_->record_error(error);
      pool.header().free_event.notify();
    }
    odd_words_[slot] = odd ? packed : 0;
  }
}

std::uint32_t PoolManager::count(SlotState state, std::uint64_t below) const {
  const shm::Pool& pool = participant_->pool();
  std::uint32_t found = 0;
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto word = shm::StateWord::unpack(pool.word(slot).load(std::memory_order_acquire));
    if (word.state == state && word.sequence < below) ++found;
  }
  return found;
}

std::uint32_t PoolManager::writers() const {
  std::uint32_t found = 0;
  for (const auto& participant : layout().participants) {
    if (participant.presence.load() == shm::Presence::attached && participant.role.load() == shm::Role::writer) ++found;
  }
  return found;
}

bool PoolManager::writers_closed(std::uint64_t generation) const {
  for (const auto& participant : layout().participants) {
    if (participant.presence.load() == shm::Presence::attached && participant.role.load() == shm::Role::writer &&
        participant.closed_generation.load(std::memory_order_acquire) < generation) {
      return false;
    }
  }
  return true;
}

}  // namespace peaknet::supervisor
