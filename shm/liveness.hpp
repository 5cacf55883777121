// Liveness: a participant is alive exactly as long as the kernel holds its lock.
//
// Each participant holds an open-file-description write lock (F_OFD_SETLK) on byte kLockBase + id of the control
// segment object, through a descriptor of its own that is never mapped (a mapping would keep the description, and with
// it the lock, alive in a forked child). The kernel drops the lock when the process dies, in any way, also across pid
// namespaces. There is no heartbeat and no timeout: a stopped or slow process is alive.
//
// Whoever obtains the lock of an id has proof that its owner is dead, and is the only one who may finish what the dead
// one left (Participant::recover). So proof and exclusion are one system call.
//
// fork: the child closes inherited lock descriptors at once (pthread_atfork), else it would keep its dead parent alive.
// What it inherited is inert from then on: it gets no lock, changes no slot and closes nothing. It attaches for itself.
//
// A program that closes descriptors it did not open (closefrom) loses its locks and is taken for dead while it lives;
// see Participant::registered. The number may be another file's by then: a LockFile closes it only if it is still its
// own.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace peaknet::shm {

inline constexpr std::int64_t kLockBase = std::int64_t{1} << 40;
// Held by peaknetd: one daemon per instance.
inline constexpr std::uint32_t kOwnerByte = 0;
// Held shared while attaching, exclusively while removing the instance.
inline constexpr std::uint32_t kGateByte = 4096;
// Held by the peaknet-live that writes the IndexingRecord. It is no participant and hinders no removal, so it lies
// beyond what try_lock_all() takes.
inline constexpr std::uint32_t kIndexingByte = 4097;

// An open description of the control segment object for locks alone. Move-only; closing it drops every lock taken
// through it.
class LockFile {
 public:
  static Result<LockFile> open(const std::string& shm_name);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

  bool try_lock(std::uint32_t byte) const;  // exclusive; false if another description holds it
  bool try_lock_shared(std::uint32_t byte) const;
  // Sleeps while another description holds it. False if the call failed.
  bool wait_lock_shared(std::uint32_t byte) const;
  // Every byte up to kGateByte, exclusive; false if another description holds any of them.
  bool try_lock_all() const;
  void unlock(std::uint32_t byte) const;
  // Does another description hold the byte? In doubt (the call failed): yes.
  bool held_by_other(std::uint32_t byte) const;

  // Is the name still that of this very object (and not removed or replaced)?
  bool still_named(const std::string& shm_name) const;

  // Was this opened by a process whose forked copy we are?
  bool inherited() const;

 private:
  explicit LockFile(int fd);
  int fd_ = -1;
  std::uint64_t inode_ = 0;
  std::uint32_t opening_ = 0;  // which opening of that descriptor number it is
  std::uint64_t process_ = 0;  // which process opened it, counted in forks
};

}  // namespace peaknet::shm
