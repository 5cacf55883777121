#include "control/accept_guard.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "control/frame_guard.hpp"

namespace peaknet::control {
namespace {

std::atomic<int> spare{-1};  // a descriptor of /dev/null, to be given up for a moment
std::atomic<unsigned long> refused{0};

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

int accept_now(int listener, sockaddr* address, socklen_t* length, int flags) {
  return static_cast<int>(::syscall(SYS_accept4, listener, address, length, flags));
}

// The kernel gives the lowest free number, so a high one means that many are open.
bool leaves_room(int fd) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
  return static_cast<rlim_t>(fd) < limit.rlim_cur - limit.rlim_cur / 4;
}

int refuse(int fd) {
  if (fd >= 0) ::close(fd);
  refused.fetch_add(1, std::memory_order_relaxed);
  errno = ECONNABORTED;
  return -1;
}

}  // namespace

bool guard_accept() {
  if (spare.load() >= 0) return true;
  const int fd = open_spare();
  int none = -1;
  if (fd >= 0 && !spare.compare_exchange_strong(none, fd)) ::close(fd);
  return spare.load() >= 0;
}

unsigned long refused_connections() { return refused.load(std::memory_order_relaxed); }

}  // namespace peaknet::control

// Defined by the program, so the dynamic linker finds it before the C library's.
extern "C" __attribute__((visibility("default"))) int accept4(int listener, sockaddr* address, socklen_t* length,
                                                              int flags) {
  namespace guard = peaknet::control;
  const int fd = guard::accept_now(listener, address, length, flags);
  if (fd >= 0 && !guard::leaves_room(fd)) return guard::refuse(fd);
  if (fd >= 0) guard::follow_frames(fd);
  if (fd >= 0) return fd;
  if (errno != EMFILE && errno != ENFILE) return fd;
  // Left waiting it would wake the listener again and again: take it with the spare descriptor and close it.
  if (const int held = guard::spare.exchange(-1); held >= 0) {
    ::close(held);
    const int taken = guard::accept_now(listener, nullptr, nullptr, flags);
    if (taken >= 0) ::close(taken);
    guard::spare.store(guard::open_spare());
  }
  return guard::refuse(-1);
}
