// What a process may not have: threads, descriptors, memory. The errors name the limits that are set, with their
// numbers and what raises them.
//
// Libraries abort where they lack a thread or a descriptor (libzmq for its context, OpenMP for its team), and nobody
// can catch that. So a program looks first: `room_for` takes what will be needed and gives it back.
//
// Threads: any. Errors: process.no-threads, process.no-descriptors, process.no-memory, process.no-folder.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "base/control_groups.hpp"
#include "base/fatal.hpp"
#include "base/result.hpp"

namespace peaknet {

// Others of the same user may take it in between: then the library aborts as it would have.
Status room_for(unsigned threads, unsigned descriptors);

// What libzmq starts for a context with one thread for its connections, and opens for that and a few sockets.
inline constexpr unsigned kMessagingThreads = 2;
inline constexpr unsigned kMessagingDescriptors = 16;

// The soft limit, RLIMIT_NOFILE and its like; nullopt: there is none, or it is not known.
inline std::optional<std::uint64_t> limit_of(__rlimit_resource_t resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

// `cause`: of the system call that failed.
Error no_threads(int cause, const ControlGroups& groups = {});
Error no_descriptors(int cause);
Error no_memory(const ControlGroups& groups = {});

// What to try where a file could not be written: the limit of file size (ulimit -f) where that is the cause.
std::string remedy_for_write(int cause, const std::string& otherwise);

// What ends a program that nobody foresaw: one of the above (exit code 71) where it says so, else `internal` (70).
Fatal unexpected(const std::exception& failure);

}  // namespace peaknet
