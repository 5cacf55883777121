#include "shm/liveness.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace peaknet::shm {
namespace {

// The descriptors a forked child must close. The one process-wide table of the library: pthread_atfork handlers take no
// argument. Lock-free slots, because the child of a threaded parent may not take a mutex.
class ForkGuard {
 public:
  static ForkGuard& instance() {
    static ForkGuard guard;
    return guard;
  }
  void add(int fd) {
    for (auto& slot : fds_) {
      int empty = -1;
      if (slot.compare_exchange_strong(empty, fd)) return;
    }
    // Table full: close-on-exec still covers fork+exec, a bare fork of so many participants is not a supported use.
  }
  // Goes up with every fork, in the child. A pid would come back one day.
  std::uint64_t process() const { return process_.load(std::memory_order_relaxed); }
  void remove(int fd) {
    for (auto& slot : fds_) {
      int expected = fd;
      if (slot.compare_exchange_strong(expected, -1)) return;
    }
  }

 private:
  ForkGuard() {
    for (auto& slot : fds_) slot.store(-1);
    pthread_atfork(nullptr, nullptr, [] { instance().close_all(); });
  }
  void close_all() {
    process_.fetch_add(1, std::memory_order_relaxed);
    for (auto& slot : fds_) {
      const int fd = slot.exchange(-1);
      if (fd >= 0) ::close(fd);
    }
  }
  std::array<std::atomic<int>, 512> fds_;
  std::atomic<std::uint64_t> process_{1};
};

struct flock lock_of(short type, std::uint32_t byte, std::int64_t bytes = 1) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockBase + byte;
  lock.l_len = bytes;
  return lock;
}

bool set_lock(int fd, short type, std::uint32_t byte, std::int64_t bytes = 1) {
  struct flock lock = lock_of(type, byte, bytes);
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

}  // namespace

Result<LockFile> LockFile::open(const std::string& shm_name) {
  const int fd = ::shm_open(shm_name.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) {
    const int cause = errno;
    if (cause == ENOENT) {
      return Error{"shm.absent", "no shared memory " + shm_name, "",
                   "start peaknetd for this instance, or check the instance name"};
    }
    return Error{"shm.denied",
                 "cannot open shared memory " + shm_name + " for reading and writing: " + std::strerror(cause), "",
                 "join the group that owns /dev/shm" + shm_name + " (pool.group in the configuration)"};
  }
  return LockFile(fd);
}

LockFile::LockFile(int fd) : fd_(fd), process_(ForkGuard::instance().process()) { ForkGuard::instance().add(fd); }
LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), process_(other.process_) {}
LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(process_, other.process_);
  return *this;
}
LockFile::~LockFile() {
  if (fd_ < 0 || inherited())
    return;  // the number of an inherited one is closed already, and may be somebody else's by now
  ForkGuard::instance().remove(fd_);
  ::close(fd_);
}

bool LockFile::inherited() const { return process_ != ForkGuard::instance().process(); }

bool LockFile::try_lock(std::uint32_t byte) const { return !inherited() && set_lock(fd_, F_WRLCK, byte); }
bool LockFile::try_lock_shared(std::uint32_t byte) const { return !inherited() && set_lock(fd_, F_RDLCK, byte); }
bool LockFile::try_lock_all() const { return !inherited() && set_lock(fd_, F_WRLCK, 0, std::int64_t{kGateByte} + 1); }
bool LockFile::wait_lock_shared(std::uint32_t byte) const {
  if (inherited()) return false;
  struct flock lock = lock_of(F_RDLCK, byte);
  while (::fcntl(fd_, F_OFD_SETLKW, &lock) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}
void LockFile::unlock(std::uint32_t byte) const {
  if (!inherited()) set_lock(fd_, F_UNLCK, byte);
}

bool LockFile::held_by_other(std::uint32_t byte) const {
  if (inherited()) return true;
  struct flock lock = lock_of(F_WRLCK, byte);
  return ::fcntl(fd_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

bool LockFile::still_named(const std::string& shm_name) const {
  struct stat mine {};
  struct stat named {};
  return !inherited() && ::fstat(fd_, &mine) == 0 && ::stat(("/dev/shm" + shm_name).c_str(), &named) == 0 &&
         mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

}  // namespace peaknet::shm
