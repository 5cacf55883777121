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

#include "shm/opening.hpp"

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
  // Returns which opening of that number it is. Who had the number before has been closed by somebody else.
  std::uint32_t add(int fd) {
    const std::uint32_t opening = openings_.fetch_add(1);
    for (auto& slot : fds_) {
      std::uint64_t former = slot.load();
      if (former != 0 && number_of(former) == fd) slot.compare_exchange_strong(former, 0);
    }
    for (auto& slot : fds_) {
      std::uint64_t empty = 0;
      if (slot.compare_exchange_strong(empty, entry(opening, fd))) return opening;
    }
    // Table full: close-on-exec still covers fork+exec, a bare fork of so many participants is not a supported use.
    return 0;
  }
  // Goes up with every fork, in the child. A pid would come back one day.
  std::uint64_t process() const { return process_.load(std::memory_order_relaxed); }
  // False if the number has been opened again since.
  bool remove(std::uint32_t opening, int fd) {
    for (auto& slot : fds_) {
      std::uint64_t expected = entry(opening, fd);
      if (slot.compare_exchange_strong(expected, 0)) return true;
    }
    return opening == 0;
  }

 private:
  ForkGuard() {
    pthread_atfork(nullptr, nullptr, [] { instance().close_all(); });
  }
  static std::uint64_t entry(std::uint32_t opening, int fd) {
    return std::uint64_t{opening} << 32 | static_cast<std::uint32_t>(fd + 1);
  }
  static int number_of(std::uint64_t entry) { return static_cast<int>(entry & 0xffff'ffffU) - 1; }
  void close_all() {
    process_.fetch_add(1, std::memory_order_relaxed);
    for (auto& slot : fds_) {
      const int fd = number_of(slot.exchange(0));
      if (fd >= 0) ::close(fd);
    }
  }
  std::array<std::atomic<std::uint64_t>, 512> fds_{};
  std::atomic<std::uint32_t> openings_{1};
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

std::uint64_t inode_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Result<LockFile> LockFile::open(const std::string& shm_name) {
  const AboveStdio above;
  const int fd = ::shm_open(shm_name.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return cannot_open(shm_name, " for reading and writing", errno);
  return LockFile(fd);
}

LockFile::LockFile(int fd)
    : fd_(fd),
      inode_(inode_of(fd)),
      opening_(ForkGuard::instance().add(fd)),
      process_(ForkGuard::instance().process()) {}
LockFile::LockFile(LockFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), inode_(other.inode_), opening_(other.opening_), process_(other.process_) {}
LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(inode_, other.inode_);
  std::swap(opening_, other.opening_);
  std::swap(process_, other.process_);
  return *this;
}
LockFile::~LockFile() {
  if (fd_ < 0 || inherited())
    return;  // the number of an inherited one is closed already, and may be somebody else's by now
  const bool same_opening = ForkGuard::instance().remove(opening_, fd_);
  if (same_opening && inode_of(fd_) == inode_) ::close(fd_);
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
