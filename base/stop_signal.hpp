// StopSignal: "please stop" from outside (SIGTERM, SIGINT, SIGHUP) as something that a loop can wait for.
//
// SIGINT and SIGHUP that were ignored when the program was started stay so: `nohup PROGRAM &` outlives its terminal,
// and a script's `PROGRAM &` the Ctrl-C that was meant for the script.
//
// The first line of main, before any thread exists: the signals are blocked in this thread and so in every thread it
// starts, and wait in a signalfd. No handler runs for them, so nothing is interrupted half way. A program that
// is asked twice sees two signals, and may take the second as "now". timeout(1) and supervisors like it tell a program
// and then its whole group: the same signal from the same process within 0.1 s is one signal. One thread waits; `fd()`
// may be given to poll and epoll of one other. A program that is started by exec inherits the blocked signals: whoever
// forks calls `unblock_in_child` there.
#pragma once

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <optional>

struct signalfd_siginfo;

namespace peaknet {

class StopSignal {
 public:
  // Throws Fatal (signal.cannot-block) if the kernel refuses, which it never does but for want of file descriptors.
  StopSignal();
  ~StopSignal();  // forgets signals that came unread, and gives back the signal mask of before
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // The next signal, waiting for it up to `at_most`; nullopt if none came. A stop that was asked before the call
  // counts.
  std::optional<int> wait(std::chrono::milliseconds at_most);
  // The same without waiting.
  std::optional<int> poll() { return wait(std::chrono::milliseconds(0)); }

  // Readable when a signal waits. Read it with poll(), not by hand.
  int fd() const { return fd_; }

  // Between fork and exec: the child gets the signals' usual effect again. Async-signal-safe.
  static void unblock_in_child();

 private:
  bool is_echo(const signalfd_siginfo& signal);

  sigset_t before_{};
  int fd_ = -1;
  std::uint64_t last_ = 0;  // signal and sender
  std::chrono::steady_clock::time_point last_at_{};
};

}  // namespace peaknet
