// ControlSegment: the mapped control segment object of an instance: who is there, what the daemon does, the counters,
// and which pool is live.
//
// peaknetd makes it once (InstanceOwner::take) and it outlives peaknetd: a restarted daemon finds the counters, the run
// and every waiting frame again. Everybody else opens it. The checks at opening are those of the pool: magic, version,
// layout, size.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "shm/layout.hpp"
#include "shm/liveness.hpp"
#include "shm/segment.hpp"

namespace peaknet::shm {

class ControlSegment {
 public:
  // Errors: shm.absent, shm.denied, shm.cannot-open, directory.foreign, directory.other-version, instance.bad-name.
  static Result<std::shared_ptr<ControlSegment>> open(const std::string& instance, Access access);

  ControlLayout& layout() const { return *static_cast<ControlLayout*>(segment_.data()); }
  const std::string& instance() const { return instance_; }
  std::uint64_t uuid() const { return uuid_; }

  // The live pool. Errors: pool.none while the daemon has not made one yet, and those of Pool::open.
  Result<std::shared_ptr<class Pool>> open_pool(Access access) const;

 private:
  friend class InstanceOwner;
  ControlSegment(std::string instance, Segment segment);
  std::string instance_;
  Segment segment_;
  std::uint64_t uuid_;
};

// The right to be the one peaknetd of an instance: a lock that the kernel drops at death.
class InstanceOwner {
 public:
  // Take the instance: make its control segment, or adopt the one that a former daemon left. Leftovers of daemons that
  // died while they made or removed something are cleared away: objects under temporary names, pools that no control
  // segment names yet (epochs after the published one), a removal that stopped half way. Errors: instance.taken (with
  // the pid of the daemon that has it), directory.*, shm.*.
  static Result<InstanceOwner> take(const std::string& instance, const SegmentOptions& options);

  const std::shared_ptr<ControlSegment>& control_segment() const { return control_segment_; }
  bool adopted() const { return adopted_; }  // the control segment was there already

  // The pool that the control segment names cannot be used (cut, overwritten): unlink it, so that the daemon may make
  // another. Says why, or nothing if the pool is sound or gone already, or of another version. Frames in it are lost;
  // whoever makes the next pool counts them.
  std::optional<Error> unlink_damaged_pool();

  // Take the instance away from the machine: unlink its pools and the control segment, if no participant is alive and
  // no frame waits in a pool of any epoch (or the caller gives them up). False, and nothing is changed, otherwise.
  bool remove_if_unused(bool even_with_frames = false);

 private:
  InstanceOwner(std::shared_ptr<ControlSegment> control_segment, LockFile lock, bool adopted)
      : control_segment_(std::move(control_segment)), lock_(std::move(lock)), adopted_(adopted) {}
  bool nobody_attached() const;
  bool no_frames() const;
  std::shared_ptr<ControlSegment> control_segment_;
  LockFile lock_;
  bool adopted_;
};

// What follows the instance's name in the name of a pool's object: ".g17" -> 17; nothing for any other object.
std::optional<std::uint64_t> pool_epoch(const std::string& suffix);

// Unlink every object of an instance, whoever uses them. Its owner alone, or who has proved that there is none.
void remove_objects(const std::string& instance);

}  // namespace peaknet::shm
