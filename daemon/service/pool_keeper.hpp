// PoolKeeper: owns the instance and its frame pool for the daemon: makes them, adopts what a former daemon left, keeps
// them in order while it runs (the dead, the quarantined), and takes them away at the end if nobody needs them any
// more. Used by the supervisor thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "config/config.hpp"
#include "shm/books.hpp"
#include "shm/member.hpp"

namespace peaknet::service {

class PoolKeeper {
 public:
  // Take the instance and have a pool of the configured geometry. A pool that a former daemon left is adopted with
  // every frame in it if it is of that geometry, wherever its memory is; replaced by a new epoch if it is empty. Throws
  // Fatal: instance.taken, pool.in-use (another geometry, and frames are in it), shm.no-space and the other errors of
  // shm.
  explicit PoolKeeper(const config::Config& config);
  // Leaves memory behind only where frames wait or somebody is attached.
  ~PoolKeeper();
  PoolKeeper(const PoolKeeper&) = delete;
  PoolKeeper& operator=(const PoolKeeper&) = delete;

  shm::Directory& directory() const { return *owner_->directory(); }
  std::shared_ptr<shm::Directory> shared_directory() const { return owner_->directory(); }
  std::shared_ptr<shm::Pool> pool() const { return member_->shared_pool(); }
  shm::DirectoryLayout& layout() const { return directory().layout(); }
  bool adopted() const { return adopted_; }  // the pool, with what was in it

  // Give back what the dead held, free what was quarantined, put right what somebody overwrote. Logs each.
  void tidy();

  // Slots in a state whose sequence is below `below`.
  std::uint32_t count(shm::SlotState state, std::uint64_t below) const;
  // Writers that are attached and alive.
  std::uint32_t writers() const;
  // Have all of them finished their files up to this generation?
  bool writers_closed(std::uint64_t generation) const;

 private:
  // Adopts the pool that is there, or makes one.
  void take_over(const config::Config& config);
  void lock_pool(const config::Config& config);
  // Frames of a pool that cannot be opened any more end here: they are counted.
  void write_off_lost_pool(const std::optional<Error>& damage);
  void replace_pool(const config::Config& config, std::uint64_t old_epoch);
  // Any member of the group may write anywhere. What the daemon alone writes, and others wait for, gets its value back;
  // a slot whose word nobody can have written stays twice as it is and is then free again. The frame that may have been
  // in it shows in the books, as an imbalance.
  void mend();
  std::optional<shm::InstanceOwner> owner_;
  std::unique_ptr<shm::Member> member_;
  std::vector<std::uint64_t> odd_words_;  // by slot, of the last look; 0: nothing odd
  bool removal_told_ = false;
  bool adopted_ = false;
};

}  // namespace peaknet::service
