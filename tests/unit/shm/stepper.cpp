#include "tests/unit/shm/stepper.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace peaknet::test {
namespace {

// The child marks the begin and the end of the operation by stopping itself.
int next_stop(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
    throw std::runtime_error("the stepped process ended by itself, status " + std::to_string(status));
  }
  return WSTOPSIG(status);
}

void request(enum __ptrace_request what, pid_t pid, void* data = nullptr) {
  if (ptrace(what, pid, nullptr, data) != 0) throw std::system_error(errno, std::generic_category(), "ptrace");
}

}  // namespace

Stepper::Stepper(const std::function<Operation()>& prepare)
    : child_(Child::run([&] {
        const Operation operation = prepare();
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 120;
        raise(SIGSTOP);
        operation();
        raise(SIGSTOP);
        return 0;
      })) {
  next_stop(child_.pid());
}

bool Stepper::advance(long count) {
  for (long i = 0; i < count && !done_; ++i) {
    request(PTRACE_SINGLESTEP, child_.pid());
    done_ = next_stop(child_.pid()) == SIGSTOP;
  }
  return !done_;
}

bool Stepper::advance_to_kernel() {
  if (done_) return false;
  request(PTRACE_SYSCALL, child_.pid());
  done_ = next_stop(child_.pid()) == SIGSTOP;
  return !done_;
}

bool Stepper::before_kernel() const {
  user_regs_struct registers{};
  request(PTRACE_GETREGS, child_.pid(), &registers);
  const long code = ptrace(PTRACE_PEEKTEXT, child_.pid(), registers.rip, nullptr);
  return (code & 0xffff) == 0x050f;  // syscall
}

Exit Stepper::finish() {
  if (!done_) {
    request(PTRACE_CONT, child_.pid());
    next_stop(child_.pid());
  }
  request(PTRACE_DETACH, child_.pid());
  return child_.wait();
}

}  // namespace peaknet::test
