// The C library's checked form of recv is defined in its header; this file has one of its own.
#undef _FORTIFY_SOURCE

#include "control/frame_guard.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <unordered_map>

namespace peaknet::control {
namespace {

constexpr unsigned kMore = 1, kLong = 2, kCommand = 4;               // flags of a frame
constexpr std::uint64_t kGreeting3 = 64 - 11, kGreeting2 = 12 - 11;  // bytes behind the version

std::atomic<unsigned long> overlong{0};

struct Followed {
  ino_t socket = 0;  // the number of a descriptor may be another's by now
  FrameCounter counter;
};
struct Table {
  std::mutex mutex;
  std::unordered_map<int, Followed> by_fd;
};
// Never destroyed: libzmq's threads may outlive what is.
Table& table() {
  static Table& all = *new Table;
  return all;
}

ino_t socket_of(int fd) {
  struct stat info {};
  // Not by the library's function: ThreadSanitizer has not seen accept4 make this descriptor.
  return ::syscall(SYS_fstat, fd, &info) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

// False: close it.
bool take_from(int fd, std::span<const std::byte> bytes) {
  const std::lock_guard hold(table().mutex);
  const auto found = table().by_fd.find(fd);
  return found == table().by_fd.end() || found->second.socket != socket_of(fd) || found->second.counter.take(bytes);
}

}  // namespace

bool FrameCounter::take(std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size() && stage_ != Stage::over;) {
    if (skip_ > 0) {
      const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size() - at));
      skip_ -= passed;
      at += passed;
      continue;
    }
    const auto byte = std::to_integer<unsigned>(bytes[at++]);
    switch (stage_) {
      case Stage::first:  // 0xff: a signature of ten bytes, or a long length of ZMTP 1
        length_ = byte;
        digits_ = 8;
        stage_ = Stage::signature;
        if (byte == 0xff) break;
        old_ = true;
        digits_ = 0;
        stage_ = Stage::flags;
        break;
      case Stage::signature:
        if (digits_ > 0) {
          length_ = digits_ == 8 ? byte : length_ << 8 | byte;
          --digits_;
          break;
        }
        stage_ = Stage::version;
        if ((byte & kMore) != 0) break;
        old_ = true;  // these were flags, of a first frame that is the last of its message
        after_length();
        break;
      case Stage::version:
        old_ = byte == 0;
        skip_ = byte <= 1 ? kGreeting2 : kGreeting3;
        stage_ = old_ ? Stage::length : Stage::flags;
        break;
      case Stage::flags:
        more_ = (byte & kMore) != 0;
        if (old_) {
          after_length();
          break;
        }
        command_ = (byte & kCommand) != 0;
        digits_ = (byte & kLong) != 0 ? 8 : 1;
        length_ = 0;
        stage_ = Stage::length;
        break;
      case Stage::length:
        if (old_ && digits_ == 0) {  // one byte, or that there are eight
          length_ = byte == 0xff ? 0 : byte;
          digits_ = byte == 0xff ? 8 : 0;
          if (digits_ == 0) stage_ = Stage::flags;
          break;
        }
        length_ = length_ << 8 | byte;
        if (--digits_ > 0) break;
        if (old_) {
          stage_ = Stage::flags;
        } else {
          after_length();
        }
        break;
      case Stage::over:
        break;
    }
  }
  return stage_ != Stage::over;
}

// Flags and length of a frame are known.
void FrameCounter::after_length() {
  if (!command_) {
    parts_ = more_ ? parts_ + 1 : 0;
    bytes_ = more_ ? bytes_ + std::min(length_, kMostBytes) : 0;
  }
  skip_ = old_ ? length_ - std::min<std::uint64_t>(length_, 1) : length_;  // in ZMTP 1 the flags are a part of it
  stage_ = parts_ >= kMostParts || bytes_ >= kMostBytes ? Stage::over : old_ ? Stage::length : Stage::flags;
}

void follow_frames(int fd) {
  const std::lock_guard hold(table().mutex);
  table().by_fd[fd] = {socket_of(fd), {}};
}

unsigned long overlong_messages() { return overlong.load(std::memory_order_relaxed); }

}  // namespace peaknet::control

// Defined by the program, so the dynamic linker finds it before the C library's.
extern "C" __attribute__((visibility("default"))) ssize_t recv(int fd, void* buffer, std::size_t size, int flags) {
  namespace guard = peaknet::control;
  const auto got = static_cast<ssize_t>(::syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr));
  if (got <= 0 || (flags & MSG_PEEK) != 0) return got;
  const auto* bytes = static_cast<const std::byte*>(buffer);
  if (guard::take_from(fd, {bytes, static_cast<std::size_t>(got)})) return got;
  guard::overlong.fetch_add(1, std::memory_order_relaxed);
  errno = ECONNRESET;
  return -1;
}
