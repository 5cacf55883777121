#include "shm/segment.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace peaknet::shm {
namespace {

namespace bip = boost::interprocess;

constexpr const char* kShmFolder = "/dev/shm";

int descriptor_of(const bip::shared_memory_object& object) {
  return bip::ipcdetail::file_handle_from_mapping_handle(object.get_mapping_handle());
}

Result<gid_t> group_id(const std::string& group) {
  std::vector<char> buffer(16384);
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return Error{"shm.group", "there is no group '" + group + "' on this machine", "no shared memory was made",
                 "create the group (systemd-sysusers does) or correct pool.group"};
  }
  return found->gr_gid;
}

std::string temporary_name(const std::string& name) {
  std::random_device device;
  std::array<char, 17> random{};
  std::snprintf(random.data(), random.size(), "%08x%08x", device(), device());
  return name + "." + random.data() + ".tmp";
}

// posix_fallocate of gigabytes gives up at every signal that arrives meanwhile.
int reserve(int fd, std::size_t bytes) {
  int cause = 0;
  do {
    cause = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  } while (cause == EINTR);
  return cause;
}

Error no_space(const std::string& name, std::size_t bytes) {
  const auto free = shared_memory_free();
  return {"shm.no-space",
          "shared memory " + name + " needs " + human_bytes(bytes) + " but /dev/shm has " +
              (free ? human_bytes(*free) : std::string("less")) + " free",
          "nothing was created and no other instance was touched",
          "fewer pool.slots, a smaller pool.shape, or a larger /dev/shm (mount -o remount,size=... /dev/shm)"};
}

}  // namespace

std::optional<std::size_t> shared_memory_free() {
  struct statvfs fs {};
  if (::statvfs(kShmFolder, &fs) != 0) return std::nullopt;
  return static_cast<std::size_t>(fs.f_bavail) * fs.f_frsize;
}

Result<Segment> Segment::create(const std::string& name, std::size_t bytes, const SegmentOptions& options) {
  gid_t group = static_cast<gid_t>(-1);
  if (!options.group.empty()) {
    auto found = group_id(options.group);
    if (!found) return found.error();
    group = *found;
  }
  const auto free = shared_memory_free();
  if (free && *free < bytes) return no_space(name, bytes);

  const std::string temporary = temporary_name(name);
  bool made = false;
  try {
    bip::shared_memory_object object(bip::create_only, temporary.c_str(), bip::read_write,
                                     bip::permissions(static_cast<int>(options.mode)));
    made = true;
    const int fd = descriptor_of(object);
    const auto fail = [&](Error error) {
      unlink(temporary);
      return error;
    };
    if (group != static_cast<gid_t>(-1) && ::fchown(fd, static_cast<uid_t>(-1), group) != 0) {
      return fail({"shm.group",
                   "cannot give shared memory " + name + " to group '" + options.group + "': " + std::strerror(errno),
                   "nothing was created", "run as a member of that group, or leave pool.group empty"});
    }
    if (const int cause = reserve(fd, bytes); cause != 0) {
      if (cause == ENOSPC || cause == ENOMEM) return fail(no_space(name, bytes));
      return fail({"shm.cannot-create",
                   "cannot reserve " + human_bytes(bytes) + " for " + name + ": " + std::strerror(cause),
                   "nothing was created", "check the mount and the limits of /dev/shm"});
    }
    bip::mapped_region region(object, bip::read_write, 0, bytes, nullptr, options.transparent_huge ? 0 : MAP_POPULATE);
    if (options.transparent_huge) ::madvise(region.get_address(), bytes, MADV_HUGEPAGE);
    ::madvise(region.get_address(), bytes, MADV_DONTDUMP);  // a core of the pool would be gigabytes of images
    return Segment(name, std::move(region), temporary);
  } catch (const bip::interprocess_exception& failure) {
    if (made) unlink(temporary);
    return Error{"shm.cannot-create", "cannot make shared memory " + name + ": " + failure.what(),
                 "nothing was created", "check that /dev/shm is mounted and writable for this user"};
  }
}

Segment::Segment(Segment&& other) noexcept
    : name_(std::move(other.name_)),
      region_(std::move(other.region_)),
      temporary_(std::exchange(other.temporary_, {})) {}

Segment& Segment::operator=(Segment&& other) noexcept {
  std::swap(name_, other.name_);
  region_.swap(other.region_);
  std::swap(temporary_, other.temporary_);
  return *this;
}

Segment::~Segment() {
  if (!temporary_.empty()) unlink(temporary_);
}

Status Segment::publish() {
  const std::string from = kShmFolder + temporary_;
  const std::string to = kShmFolder + name_;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    const int cause = errno;
    // ENOENT: the daemon that has the instance took our temporary object for a leftover.
    return Error{cause == EEXIST || cause == ENOENT ? "shm.exists" : "shm.cannot-create",
                 "cannot publish shared memory as " + name_ + ": " + std::strerror(cause),
                 "what has that name was not touched", "see who else uses this instance name"};
  }
  temporary_.clear();
  return {};
}

Result<Segment> Segment::open(const std::string& name, Access access, std::size_t at_least) {
  const bip::mode_t mode = access == Access::read_only ? bip::read_only : bip::read_write;
  try {
    bip::shared_memory_object object(bip::open_only, name.c_str(), mode);
    struct stat info {};
    if (::fstat(descriptor_of(object), &info) != 0) {
      return Error{"shm.denied", "cannot examine shared memory " + name + ": " + std::strerror(errno), "", ""};
    }
    if ((info.st_mode & S_IWOTH) != 0) {
      return Error{"shm.world-writable", "shared memory " + name + " may be written by everybody on this machine",
                   "it was not used", "set pool.mode to 0660 and restart peaknetd"};
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size < at_least) {
      return Error{"shm.too-small",
                   "shared memory " + name + " has " + std::to_string(size) + " bytes, at least " +
                       std::to_string(at_least) + " are needed: it was cut, or made by something else",
                   "it was not used", "stop the instance and start peaknetd again"};
    }
    bip::mapped_region region(object, mode, 0, size);
    ::madvise(region.get_address(), size, MADV_DONTDUMP);
    return Segment(name, std::move(region), "");
  } catch (const bip::interprocess_exception& failure) {
    if (failure.get_error_code() == bip::not_found_error) {
      return Error{"shm.absent", "there is no shared memory " + name, "",
                   "start peaknetd for this instance, or check the instance name"};
    }
    return Error{"shm.denied", "cannot open shared memory " + name + ": " + failure.what(), "",
                 "join the group that owns /dev/shm" + name + " (pool.group in the configuration)"};
  }
}

bool Segment::unlink(const std::string& name) { return ::shm_unlink(name.c_str()) == 0; }

}  // namespace peaknet::shm
