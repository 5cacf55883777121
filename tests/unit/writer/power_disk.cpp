#include "tests/unit/writer/power_disk.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/support/child.hpp"

namespace peaknet::test {
namespace {

// EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH of the kernel, which no header exports.
constexpr unsigned long kShutdown = _IOR('X', 125, std::uint32_t);
constexpr std::uint32_t kNoLogFlush = 2;

bool runs(const std::vector<std::string>& command) {
  try {
    return Child::start(command).wait() == Exit::code(0);
  } catch (const std::exception&) {
    return false;
  }
}

// Whoever else makes a namespace now (another test does) gets a copy of our mount with it otherwise, and the file
// system that lost its power stays alive in there: mounted again, it would be that one.
bool alone_with_its_mounts() {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace

PowerDisk::PowerDisk(std::uint64_t bytes) {
  const auto image = folder_.path() / "image";
  write_all(image, {});
  std::filesystem::resize_file(image, bytes);
  std::filesystem::create_directory(path());
  mounted_ = ::geteuid() == 0 && alone_with_its_mounts() && runs({"/sbin/mkfs.ext4", "-q", "-F", image}) && mount();
}

PowerDisk::~PowerDisk() {
  if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
}

bool PowerDisk::mount() { return runs({"mount", "-o", "loop", folder_.path() / "image", path()}); }

bool PowerDisk::cut() {
  const int fd = ::open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  std::uint32_t how = kNoLogFlush;
  const bool done = ::ioctl(fd, kShutdown, &how) == 0;
  ::close(fd);
  return done;
}

bool PowerDisk::restore() {
  mounted_ = ::umount2(path().c_str(), 0) == 0 && mount();
  return mounted_;
}

}  // namespace peaknet::test
