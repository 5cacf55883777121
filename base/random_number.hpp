// A random number of 64 bits from the kernel, for names and ids that must not meet. Not std::random_device: that of
// libstdc++ 12 wants glibc 2.36 (arc4random), and the producers' library runs on older ones.
// Throws std::system_error where the kernel has none to give (a sandbox without getrandom).
#pragma once

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace peaknet {

inline std::uint64_t random_number() {
  std::uint64_t number = 0;
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  return number;
}

}  // namespace peaknet
