// watched_calls: what a thread does while the kernel refuses one of its system calls, or while something happens just
// before one, at the same instruction every time.
//
//   const bool watched = with_watched_calls(
//       {SYS_openat},
//       [&](const Call& call) { return call.path() == file && ++opens == 2 ? EMFILE : 0; },
//       [&] { EXPECT_EQ(Tap::open(name).error().id, "shm.denied"); });
//   if (!watched) GTEST_SKIP() << kCannotWatch;
//
// `body` runs in a thread of its own, behind a seccomp filter that goes with that thread; the calling thread hears of
// each call before the kernel does it, looks (the pointers are of the same process), does what another process would
// have done at that moment, and lets it go on (0) or fail with an error number. Nothing here needs root. EXPECT_... may
// be used on both sides. The two never run at once: a call that is not answered yet has not begun.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>

namespace peaknet::test {

struct Call {
  long number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::string path() const;  // of openat and its like: the second argument
};

// Calls of this number; where an argument is named, only those in which it has the value (its lower half): a thread
// makes calls of its run-time libraries, too, and sleeps in some of them with a lock in hand.
struct Watch {
  Watch(long call) : number(call) {}  // NOLINT: a number is a watch
  Watch(long call, unsigned which, std::uint32_t is) : number(call), argument(which), value(is) {}
  long number;
  std::optional<unsigned> argument;
  std::uint32_t value = 0;
};

inline constexpr const char* kCannotWatch = "this kernel or sandbox lets nobody watch system calls (seccomp)";

// False, and `body` did not run, where the kernel or a sandbox does not permit it. What `body` throws is thrown here.
bool with_watched_calls(std::initializer_list<Watch> watches, const std::function<int(const Call&)>& answer,
                        const std::function<void()>& body);

}  // namespace peaknet::test
