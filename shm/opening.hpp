// What all of us that open an object of shared memory share: descriptors that are never taken for stdio, and the error
// when it does not open. This library lives in other people's programs.
#pragma once

#include <array>
#include <string>

#include "base/result.hpp"

namespace peaknet::shm {

// While it lives, no file that is opened gets a descriptor below 3: those that are closed are held on /dev/null.
// Whoever writes to stderr in a program that has none would otherwise write into shared memory.
//
// Threads: any; one that opens its own stdio at the same moment gets another number, as with any open(2) beside it.
// Errors: where there is no /dev/null, the descriptors stay closed.
class AboveStdio {
 public:
  AboveStdio();
  ~AboveStdio();
  AboveStdio(const AboveStdio&) = delete;
  AboveStdio& operator=(const AboveStdio&) = delete;

 private:
  std::array<bool, 3> ours_{};
};

// `purpose`: " for reading", or "". Errors: shm.absent (ENOENT), shm.denied (EACCES, EPERM; it names the owner),
// shm.cannot-open (every other `cause`, with the limit that is behind it).
Error cannot_open(const std::string& name, const std::string& purpose, int cause);

}  // namespace peaknet::shm
