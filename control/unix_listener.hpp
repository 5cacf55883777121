// UnixListener: a listening Unix socket with the right to its path, for the server.
//
// The right is an flock on `<path>.lock`, which the kernel drops at death; without it, a second bind of a Unix path
// would take it from the first one in silence. The lock file is never removed (removing one is a race), the socket is,
// by its owner. The socket is made with mode 0600, given its group and its mode, and only then listens: it is at no
// moment more open than it shall be, and the umask of the process does not matter.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.hpp"

namespace peaknet::control {

class UnixListener {
 public:
  // Errors: control.endpoint-taken (with the pid of who has it), control.group, control.cannot-bind.
  static Result<UnixListener> open(const std::string& path, unsigned mode, const std::string& group);
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  ~UnixListener();  // removes the socket if it is still ours, closes it, then gives up the lock

  // Is the path still the socket that we bound? Somebody may have removed it, or its whole folder.
  bool still_there() const;

  int fd() const { return fd_; }

 private:
  UnixListener(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
  int fd_ = -1;
  bool bound_ = false;
  dev_t device_ = 0;  // of the bound path
  ino_t inode_ = 0;
};

// Is somebody listening at the path? One attempt to connect, which never waits. Errors: control.not-running (nothing
// there, or a socket that nobody serves), control.denied.
Status probe_socket(const std::string& path);

}  // namespace peaknet::control
