#include "base/line_output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace peaknet {

bool LineOutput::write(std::string_view line, std::chrono::milliseconds patience) {
  if (torn_) {
    std::string_view end = "\n";
    if (!write_piece(end, patience)) return false;
    torn_ = false;
  }
  const std::size_t whole = line.size();
  while (!line.empty()) {
    if (write_piece(line, patience)) continue;
    torn_ = line.size() != whole;
    return false;
  }
  return true;
}

// A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)), and sockets and terminals leave more room.
bool LineOutput::write_piece(std::string_view& line, std::chrono::milliseconds patience) {
  pollfd output{fd_, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&output, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return false;
  const std::string_view piece = line.substr(0, PIPE_BUF);
  const ssize_t written = ::write(fd_, piece.data(), piece.size());
  if (written < 0 && errno == EINTR) return true;    // nothing was written: once more
  if (written < 0 && errno == EAGAIN) return false;  // somebody else was faster, and made it non-blocking
  line.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : line.size());
  return true;
}

}  // namespace peaknet
