// Sandbox: a process of its own for work with a library that may crash or hang on bad input. It lives for as long as
// this object; a piece of work that ends it costs that piece alone, and the next one has a fresh process.
//
// The input stays here: the sandbox asks for the parts that it needs, so that of a message of 100 MB a few kilobytes go
// from process to process. What it answers is somebody else's bytes: whoever damaged the sandbox may have written them.
//
// Made before there is much in memory and before there are threads: the sandbox is a forked copy and keeps what it has
// seen then, locks that others hold included. It has none of our descriptors but the socket to us and stderr, writes no
// core file, and ends when we do, not before: what stops a service (SIGTERM, SIGINT, SIGHUP) is no matter of its own.
// In it runs a fork server, a process of one thread, which makes the process that works, and another when that one ends
// by itself or at our word. So nothing that a message does is followed by a fork of a large process with threads: only
// where the fork server itself was killed from outside (the kernel's OOM killer, a person) is another made by the
// thread that asks. glibc makes that safe (its fork holds the locks of its own memory); the memory of GCC 12's
// sanitizers is not: there the sandbox may stand still, which the time of its work and some seconds end as `hung`. One
// thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace peaknet::feed {

class Sandbox {
 public:
  // The bytes at `offset` of the input. False if it has not so many.
  using ReadAt = std::function<bool(std::uint64_t offset, std::span<std::byte> out)>;
  struct Done {
    std::vector<std::byte> reply;
    bool spent = false;  // what was done may have damaged this process: the next work has a fresh one
  };
  // Runs in the sandbox, which has this one thread alone: every lock that it wants must be free while a process is
  // made.
  using Work = std::function<Done(const ReadAt& input, std::uint64_t input_bytes, std::span<const std::byte> request)>;

  // Holds such locks for as long as what it gives lives. Called in the thread that makes the Sandbox, and where the
  // fork server was killed in the one that asks.
  using Hold = std::function<std::shared_ptr<void>()>;
  struct Limits {
    std::chrono::milliseconds time;  // for a piece of work
    // What it may take beside what it begins with: more is refused to it (RLIMIT_DATA), and what its work makes of that
    // is its answer, or an end that costs this work alone. 0, and where a sanitizer needs the address space: no limit.
    std::uint64_t memory = 0;
  };
  Sandbox(Work work, Limits limits, Hold hold = {});
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  enum class Outcome : std::uint8_t {
    answered,
    crashed,  // also: an exception in the work, or more than kLongestReply
    hung,
    failed,  // no process can be made
  };
  struct Answer {
    Outcome outcome = Outcome::failed;
    std::vector<std::byte> reply;
  };
  static constexpr std::size_t kLongestReply = std::size_t{64} << 20;
  // Work that ends a process which has done other work before is done again in a fresh one: the other may have damaged
  // it.
  Answer ask(std::span<const std::byte> input, std::span<const std::byte> request);

 private:
  Answer ask_once(std::span<const std::byte> input, std::span<const std::byte> request);
  bool start();
  bool forget_the_past();
  void replace_worker();
  void end();
  const Work work_;
  const Limits limits_;
  const Hold hold_;
  bool fresh_ = true;  // the process has done nothing yet
  int socket_ = -1;
  pid_t fork_server_ = -1;
};

}  // namespace peaknet::feed
