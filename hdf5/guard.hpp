// Guard: the right of this thread to call HDF5, held while handles are used or closed. One policy for all programs:
// whoever calls the library holds one.
//
//   Sharing::nothing   the thread's files are its own: where the library at hand is thread-safe, its own lock is
//                      enough and a Guard is free; where it is not, one thread at a time has a Guard.
//   Sharing::handles   several threads use the same files: one thread at a time, whatever the library.
//
// Nothing that needs no HDF5 (fsync, unpacking, converting) is done under a Guard, or it says why.
// Threads: any; a thread may hold several, and none leaves its thread. A child that is forked under a Guard has it too.
// HDF5 prints nothing in a thread that had one, and is not run at the process's exit. Errors: none.
#pragma once

#include <cstdint>
#include <utility>

namespace peaknet::hdf5 {

enum class Sharing : std::uint8_t { nothing, handles };

class [[nodiscard]] Guard {
 public:
  explicit Guard(Sharing sharing = Sharing::nothing);
  ~Guard() { release(); }
  Guard(Guard&& other) noexcept : locks_(other.locks_), holds_(std::exchange(other.holds_, false)) {}
  Guard& operator=(Guard&&) = delete;
  // Before the end of its scope, for work that does not need the library.
  void release();

  // Has this thread one? For tests of the policy.
  static bool held();

 private:
  bool locks_;
  bool holds_ = true;
};

// Of the library at hand; asked once.
bool is_thread_safe();
// For tests on a thread-safe library: every Guard is a lock from now on. Before there are threads.
void take_for_not_thread_safe();

}  // namespace peaknet::hdf5
