#include "base/program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace peaknet {
namespace {

void fill_closed_descriptors() {
  for (const int number : std::array{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one, since those below are taken.
    (void)::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void begin_program(ProgramKind kind) {
  fill_closed_descriptors();
  ::signal(SIGXFSZ, SIG_IGN);
  if (kind == ProgramKind::daemon) ::signal(SIGPIPE, SIG_IGN);
  if (kind == ProgramKind::service) continue_as_service();
  raise_descriptor_limit();
}

void continue_as_service() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
}

}  // namespace peaknet
