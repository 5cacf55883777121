// Fatal: thrown for what a program cannot continue from (a config that cannot be read, shared memory that cannot be
// had). Caught once, in main, which prints the paragraph to stderr and exits with `exit_code`. Never thrown on a data
// path.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace peaknet {

// Exit codes of the long-lived programs, after sysexits.h. systemd must not restart on the first two.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitData = 65;          // the input is damaged, or not what the configuration says
inline constexpr int kExitUnavailable = 69;   // a peer or a resource is not there (a second daemon, no shared memory)
inline constexpr int kExitSoftware = 70;      // every device is lost, an internal check failed: restart is the remedy
inline constexpr int kExitSystem = 71;        // no threads, descriptors or memory are left: there may be some later
inline constexpr int kExitCannotCreate = 73;  // an output or a segment cannot be made
inline constexpr int kExitConfig = 78;        // the configuration is wrong: restarting cannot help

class Fatal : public std::runtime_error {
 public:
  Fatal(Error error, int exit_code)
      : std::runtime_error(error.text()), error_(std::move(error)), exit_code_(exit_code) {}
  const Error& error() const { return error_; }
  int exit_code() const { return exit_code_; }

 private:
  Error error_;
  int exit_code_;
};

}  // namespace peaknet
