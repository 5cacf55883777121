// write(2) until all is written: a disk that becomes full, or a signal, takes a part before it refuses the rest.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>

namespace peaknet {

// 0, or the number of the error; a part may be written then.
inline int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return 0;
}

}  // namespace peaknet
