#include "hdf5/guard.hpp"

#include <hdf5.h>

#include <atomic>
#include <mutex>

namespace peaknet::hdf5 {
namespace {

std::mutex& one_at_a_time() {
  static auto* mutex = new std::mutex;  // never destroyed: handles may be closed at the process's end
  return *mutex;
}

// Of this thread. A recursive mutex would not know the thread again in a child that it forked.
thread_local int guards = 0, locks = 0;

// Before anything else of the library: 1.10.8 crashes at the exit of a process in which a file could not be closed.
bool ask_library() {
  H5dont_atexit();
  hbool_t safe = false;
  return H5is_library_threadsafe(&safe) >= 0 && safe;
}

std::atomic<bool>& known_thread_safe() {
  static std::atomic<bool> known{ask_library()};
  return known;
}

}  // namespace

Guard::Guard(Sharing sharing) : locks_(sharing == Sharing::handles || !is_thread_safe()) {
  if (locks_ && locks++ == 0) one_at_a_time().lock();
  ++guards;
  // The error stack belongs to the thread.
  thread_local const bool quiet = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  (void)quiet;
}

void Guard::release() {
  if (!holds_) return;
  holds_ = false;
  --guards;
  if (locks_ && --locks == 0) one_at_a_time().unlock();
}

bool Guard::held() { return guards > 0; }

bool is_thread_safe() { return known_thread_safe(); }

void take_for_not_thread_safe() { known_thread_safe() = false; }

}  // namespace peaknet::hdf5
