#include "base/wake.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/fatal.hpp"

namespace peaknet {

Wake::Wake() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ >= 0) return;
  throw Fatal({"wake.cannot-make", std::string("cannot make an event descriptor: ") + std::strerror(errno),
               "nothing was started", "raise the limit of open files (ulimit -n)"},
              kExitUnavailable);
}

Wake::~Wake() { close(fd_); }

void Wake::notify() const {
  const std::uint64_t one = 1;
  // Fails only where the count is full already, which is as good.
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

void Wake::clear() const {
  std::uint64_t count = 0;
  // Fails only where there was nothing to clear.
  [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
}

}  // namespace peaknet
