// PoolManager: owns the instance and its frame pool for the daemon: makes them, adopts what a former daemon left, keeps
// them in order while it runs (the dead, the quarantined), changes the pool for another, and takes them away at the end
// if nobody needs them any more. Used by the supervisor thread alone, but for pool(), make_next() and
// record_error().
//
// Another pool is another epoch, at the start of a daemon as in the middle of a run: the old one is closed, found
// empty, the new one named. What a daemon that died in between leaves: a pool that no control segment names (its next
// removes it), a closed pool (its next opens it), an empty former one (its next removes it). No frame is in two pools,
// or in none.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "config/config.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/participant.hpp"

namespace peaknet::supervisor {

class PoolManager {
 public:
  // Take the instance and have a pool of the configured geometry. A pool that a former daemon left is adopted with
  // every frame in it if it is of that geometry, or was asked for by `rebuffer` in place of that geometry, wherever its
  // memory is; replaced by a new epoch if it is empty. Throws
  // Fatal: instance.taken, pool.in-use (another geometry, and frames are in it), shm.no-space and the other errors of
  // shm. `config`, as the file has it, outlives this.
  explicit PoolManager(const config::Config& config);
  // Leaves memory behind only where frames wait or somebody is attached.
  ~PoolManager();
  PoolManager(const PoolManager&) = delete;
  PoolManager& operator=(const PoolManager&) = delete;

  shm::ControlSegment& control_segment() const { return *owner_->control_segment(); }
  std::shared_ptr<shm::ControlSegment> shared_control_segment() const { return owner_->control_segment(); }
  // The pool that frames go through. Any thread.
  std::shared_ptr<shm::Pool> pool() const;
  shm::ControlLayout& layout() const { return control_segment().layout(); }
  bool adopted() const { return adopted_; }  // the pool, with what was in it
  // What the last daemon had in the control segment. There it is `starting` since we have the instance: who sees a
  // living daemon there must not see the state of a dead one.
  shm::DaemonState state_found() const { return state_found_; }

  // Logs an error and puts it where `peaknetctl errors` finds it. Any thread.
  void record_error(const Error& error) const;

  // Give back what the dead held, free what was quarantined, put right what somebody overwrote. Logs each.
  void maintain();

  // --- another pool, while programs are attached (operations/pool_migration.hpp says when) ---

  // Nobody claims a slot any more, producers wait; frames that are in the pool go their way. And the opposite.
  void close_pool();
  void open_pool();
  // Slots that are not free. 0 in a closed pool: it stays so.
  std::uint32_t used() const;
  // Make the pool after epoch `epoch`, for this geometry; nobody knows of it yet. Any thread. Errors: those of
  // shm::Pool::create.
  Result<std::shared_ptr<shm::Pool>> make_next(std::uint64_t epoch, const shm::Geometry& geometry) const;
  // A pool of make_next() that is not wanted any more.
  void drop(const shm::Pool& pool) const;
  // Our pool is closed and empty: name this one instead. Programs move over by themselves at their next claim or take.
  // It is closed too, until open_pool(). The former one stays, so that we can go back to it. Errors: those of
  // shm::Pool::open; nothing has changed then.
  Status move_to(const std::shared_ptr<shm::Pool>& next);
  Status move_back();
  void forget_former();

  // Slots in a state whose sequence is below `below`.
  std::uint32_t count(shm::SlotState state, std::uint64_t below) const;
  // Writers that are attached and alive.
  std::uint32_t writers() const;
  // Have all of them finished their files up to this generation?
  bool writers_closed(std::uint64_t generation) const;

 private:
  // Adopts the pool that is there, or makes one.
  void take_over();
  void lock_pool();
  // Frames of a pool that cannot be opened any more end here: they are counted.
  void write_off_lost_pool(const std::optional<Error>& damage);
  void replace_pool(std::uint64_t old_epoch);
  void remove_empty_former(std::uint64_t epoch) const;
  bool asked_in_place_of_configured(const shm::Pool& pool) const;
  Status name_pool(std::uint64_t epoch);
  void show_pool();
  // Any member of the group may write anywhere. What the daemon alone writes, and others wait for, gets its value back;
  // a slot whose word nobody can have written stays twice as it is and is then free again. The frame that may have been
  // in it shows in the counters, as an imbalance.
  void repair();
  const config::Config& config_;
  std::optional<shm::InstanceOwner> owner_;
  std::unique_ptr<shm::Participant> participant_;
  shm::SegmentState pool_state_ = shm::SegmentState::live;  // that our pool has to have
  std::shared_ptr<shm::Pool> former_;                       // to go back to
  mutable std::mutex shown_mutex_;
  std::shared_ptr<shm::Pool> shown_;      // what pool() gives
  std::vector<std::uint64_t> odd_words_;  // by slot, of the last look; 0: nothing odd
  bool removal_told_ = false;
  bool adopted_ = false;
  shm::DaemonState state_found_ = shm::DaemonState::absent;
};

}  // namespace peaknet::supervisor
