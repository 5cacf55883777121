#include "feed/decoders/rehearsal.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace peaknet::feed {
namespace {

[[noreturn]] void be_the_copy(const std::function<void()>& work, pid_t parent) {
  // The copy has our descriptors, and with them the locks that say that we live. It must not outlive us.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  // A crash here is an answer: no core file, and none of our own handlers.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) std::signal(number, SIG_DFL);
  try {
    work();
  } catch (...) {
    // Memory that is not there, or a defect of ours; it will be thrown again where somebody counts it.
  }
  _exit(0);
}

bool ends_in_time(pid_t copy, std::chrono::milliseconds at_most) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, copy, 0));
  if (handle < 0) return true;  // then it is waited for as long as it takes
  pollfd item{handle, POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  int ready = -1;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    ready = poll(&item, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
  } while (ready < 0 && errno == EINTR);
  close(handle);
  return ready > 0;
}

}  // namespace

Rehearsal rehearse(const std::function<void()>& work, std::chrono::milliseconds at_most) {
  const pid_t parent = getpid();
  const pid_t copy = fork();
  if (copy < 0) return Rehearsal::failed;
  if (copy == 0) be_the_copy(work, parent);
  const bool in_time = ends_in_time(copy, at_most);
  if (!in_time) kill(copy, SIGKILL);
  int status = 0;
  while (waitpid(copy, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return Rehearsal::hung;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Rehearsal::ended : Rehearsal::crashed;
}

}  // namespace peaknet::feed
