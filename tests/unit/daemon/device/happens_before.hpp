// HappensBefore: does something order every access to memory after those before it that it must not race with? Vector
// clocks over the host and the streams of all devices of a test; the memory is remembered by range.
//
// The clock of an actor says how far it knows each other actor to be. What is put on a stream knows what the host knew
// then, and what ran before it on the stream; an event carries the clock of the stream where it was recorded to whoever
// waits for it, or to the host that sees it done. An access is good if it knows the last write of its range, and a
// write also every read since. So a missing event is found whichever of the two happened to run first.
//
// The host is one actor: all threads of the engine, the producer and the writer. What orders those among themselves is
// in shm/ and is proven there. Any thread may call everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace peaknet::device::test {

class HappensBefore {
 public:
  using Actor = std::size_t;
  using Clock = std::vector<std::uint64_t>;  // by actor; what is not there is 0
  static constexpr Actor kHost = 0;

  HappensBefore() : names_{"the host"}, clocks_(1) {}

  Actor add(const std::string& name);

  // `actor` does one more thing; the clock of that thing.
  Clock step(Actor actor);
  Clock clock(Actor actor) const;
  // From now on `actor` knows what is in `seen`.
  void learn(Actor actor, const Clock& seen);

  enum class Kind { read, write };
  // Something that `actor` does, at `when` by its own clock, to a range of memory.
  void access(Actor actor, const Clock& when, Kind kind, const void* begin, std::size_t bytes, const std::string& what);
  // The same by the host, now.
  void host(Kind kind, const void* begin, std::size_t bytes, const std::string& what);
  // The range is no memory any more; that is a write by the host, and the end of what is known of it.
  void forget(const void* begin, std::size_t bytes, const std::string& what);

  void complain(std::string what);
  std::vector<std::string> violations() const;

 private:
  struct Access {
    Actor actor = 0;
    std::uint64_t time = 0;  // 0: none
    std::string what;
  };
  struct Cell {  // a range of which all bytes have the same past
    std::uintptr_t end = 0;
    Access written;
    std::vector<Access> read;  // since then; the last of each actor
  };
  using Cells = std::map<std::uintptr_t, Cell>;
  Clock step_locked(Actor actor);
  void access_locked(Actor actor, const Clock& when, Kind kind, const void* begin, std::size_t bytes,
                     const std::string& what);
  void split(std::uintptr_t at);
  void check(const Access& before, const Clock& when, Kind kind, const Access& now);

  mutable std::mutex mutex_;
  std::vector<std::string> names_;
  std::vector<Clock> clocks_;
  Cells cells_;
  std::vector<std::string> violations_;
};

}  // namespace peaknet::device::test
