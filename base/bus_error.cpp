#include "base/bus_error.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "base/fatal.hpp"

namespace peaknet {
namespace {

const char* program_name = "";  // for the handler, which is given nothing of ours

void say(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // stderr is gone: the exit code still tells
}

void on_bus_error(int, siginfo_t* info, void*) {
  say(program_name);
  say(info->si_code == BUS_ADRERR
          ? ": the shared memory was truncated by another process (SIGBUS); nothing further was "
            "written, and what others hold is theirs. Try: start it again: peaknetd replaces a pool that was truncated "
            "and counts its frames as failed; then find out who wrote to /dev/shm [shm.cut]\n"
          : ": the memory of this machine failed at a page that this program uses (bus error); nothing further was "
            "written. Try: start it again, and look for machine check errors in the journal of the kernel "
            "[memory.failed]\n");
  ::_exit(kExitSoftware);
}

}  // namespace

void end_clearly_on_bus_error(const char* program) {
  program_name = program;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);  // cannot fail: the signal exists and the address is ours
}

}  // namespace peaknet
