#include "base/stop_signal.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fatal.hpp"

namespace peaknet {
namespace {

bool is_ignored(int number) {
  struct sigaction now {};
  return ::sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
}

// A signalfd is given ignored signals too, so what the starter wants ignored is left out.
sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  for (const int number : {SIGINT, SIGHUP}) {
    if (!is_ignored(number)) ::sigaddset(&set, number);
  }
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = stop_signals();
  if (const int cause = ::pthread_sigmask(SIG_BLOCK, &set, &before_); cause != 0) {
    throw Fatal({"signal.cannot-block", std::string("cannot block the stop signals: ") + std::strerror(cause), "", ""},
                kExitSoftware);
  }
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) {
    const int cause = errno;
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    throw Fatal({"signal.cannot-block", std::string("cannot make a signalfd: ") + std::strerror(cause), "",
                 "raise the limit of open files (ulimit -n)"},
                kExitUnavailable);
  }
}

StopSignal::~StopSignal() {
  while (poll()) {
  }
  ::close(fd_);
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

// Those of a keyboard come from nobody, and each counts.
bool StopSignal::is_echo(const signalfd_siginfo& signal) {
  constexpr std::chrono::milliseconds kOneAsking{100};
  const auto now = std::chrono::steady_clock::now();
  const std::uint64_t this_one = std::uint64_t{signal.ssi_signo} << 32 | signal.ssi_pid;
  const bool again = signal.ssi_pid != 0 && this_one == last_ && now - last_at_ < kOneAsking;
  last_ = this_one;
  last_at_ = now;
  return again;
}

std::optional<int> StopSignal::wait(std::chrono::milliseconds at_most) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    signalfd_siginfo signal{};
    if (::read(fd_, &signal, sizeof signal) == sizeof signal) {
      if (is_echo(signal)) continue;
      return static_cast<int>(signal.ssi_signo);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd waiting{fd_, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000)));
  }
}

void StopSignal::unblock_in_child() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace peaknet
