#include "shm/segment.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/process_limits.hpp"
#include "base/random_number.hpp"
#include "base/text.hpp"
#include "shm/opening.hpp"

namespace peaknet::shm {
namespace {

namespace bip = boost::interprocess;

#ifndef MADV_POPULATE_WRITE  // headers older than Linux 5.14
#define MADV_POPULATE_WRITE 23
#endif

constexpr const char* kShmFolder = "/dev/shm";

template <class Object>
int descriptor_of(const Object& object) {
  return bip::ipcdetail::file_handle_from_mapping_handle(object.get_mapping_handle());
}

// The file that a name in /dev/shm is a link to; "" if it is none.
std::string target_of(const std::string& name) {
  std::error_code none;
  return std::filesystem::read_symlink(kShmFolder + name, none).string();
}

Result<gid_t> group_id(const std::string& group) {
  std::vector<char> buffer(16384);
  ::group entry{};
  ::group* found = nullptr;
  int cause = 0;
  while ((cause = ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found)) == ERANGE)
    buffer.resize(2 * buffer.size());  // a group with thousands of members
  if (cause != 0) {
    return Error{"shm.group", "cannot look up the group '" + group + "': " + std::strerror(cause),
                 "no shared memory was made", "getent group " + group + " shows whether this machine knows it"};
  }
  if (found == nullptr) {
    return Error{"shm.group", "there is no group '" + group + "' on this machine", "no shared memory was made",
                 "create the group (systemd-sysusers does) or correct pool.group"};
  }
  return found->gr_gid;
}

std::string temporary_name(const std::string& name) {
  std::array<char, 17> random{};
  std::snprintf(random.data(), random.size(), "%016llx", static_cast<unsigned long long>(random_number()));
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

Error no_space(const std::string& name, std::size_t bytes, const std::string& folder, int cause) {
  const auto free = shared_memory_free(folder);
  return {"shm.no-space",
          "shared memory " + name + " needs " + human_bytes(bytes) + " but " + folder + " has " +
              (free ? human_bytes(*free) : std::string("less")) + " free (" + std::strerror(cause) + ")",
          "nothing was created and no other instance was touched",
          folder == kShmFolder
              ? "fewer pool.slots, a smaller pool.shape, or a larger /dev/shm (mount -o remount,size=... /dev/shm)"
              : "fewer pool.slots, a smaller pool.shape, or a larger " + folder +
                    " (a hugetlbfs needs free huge pages: sysctl vm.nr_hugepages)"};
}

std::string remedy_for(int cause, const std::string& folder) {
  return remedy_for_write(cause, "check the mount and the limits of " + folder);
}

// mbind(2); for memory that is shared the policy belongs to the object, so it holds for whoever touches a page first.
bool bind_to_node(void* address, std::size_t bytes, std::uint32_t node) {
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, 1024 / kBits> nodes{};
  if (node >= 1024) {
    errno = EINVAL;
    return false;
  }
  nodes[node / kBits] = 1UL << node % kBits;
  return ::syscall(SYS_mbind, address, bytes, MPOL_BIND, nodes.data(), 1024UL, 0UL) == 0;
}

// A file of our own, as shared_memory_object makes its objects.
void make_file(const std::string& path, unsigned mode) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw bip::interprocess_exception(bip::error_info(errno), (path + ": " + std::strerror(errno)).c_str());
  const bool permitted = ::fchmod(fd, mode) == 0;
  const int cause = errno;
  ::close(fd);
  if (permitted) return;
  ::unlink(path.c_str());
  throw bip::interprocess_exception(bip::error_info(cause), (path + ": " + std::strerror(cause)).c_str());
}

}  // namespace

std::optional<std::size_t> shared_memory_free(const std::string& folder) {
  struct statvfs fs {};
  if (::statvfs(folder.c_str(), &fs) != 0 || fs.f_blocks == 0) return std::nullopt;
  return static_cast<std::size_t>(fs.f_bavail) * fs.f_frsize;
}

// Size, owner, pages: what creating does with an object that has been made, whatever its kind. Errors as create().
template <class Object>
Result<bip::mapped_region> Segment::furnish(Object& object, const std::string& name, std::size_t bytes,
                                            const SegmentOptions& options, const std::string& folder) {
  const int fd = descriptor_of(object);
  if (!options.group.empty()) {
    const auto group = group_id(options.group);
    if (!group) return group.error();
    if (::fchown(fd, static_cast<uid_t>(-1), *group) != 0) {
      return Error{"shm.group",
                   "cannot give shared memory " + name + " to group '" + options.group + "': " + std::strerror(errno),
                   "nothing was created", "run as a member of that group, or leave pool.group empty"};
    }
  }
  // The mapping comes before the memory, since the node is a matter of the mapping.
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    const int cause = errno;
    if (cause == ENOSPC || cause == ENOMEM) return no_space(name, bytes, folder, cause);
    return Error{"shm.cannot-create",
                 "cannot give " + name + " its size of " + human_bytes(bytes) + ": " + std::strerror(cause),
                 "nothing was created", remedy_for(cause, folder)};
  }
  bip::mapped_region region(object, bip::read_write, 0, bytes);
  if (options.numa_node && !bind_to_node(region.get_address(), bytes, *options.numa_node)) {
    return Error{
        "shm.numa",
        "cannot bind " + name + " to NUMA node " + std::to_string(*options.numa_node) + ": " + std::strerror(errno),
        "nothing was created", "ls /sys/devices/system/node shows the nodes; leave pool.numa_node out"};
  }
  if (const int cause = reserve(fd, bytes); cause != 0) {
    if (cause == ENOSPC || cause == ENOMEM) return no_space(name, bytes, folder, cause);
    return Error{"shm.cannot-create",
                 "cannot reserve " + human_bytes(bytes) + " for " + name + ": " + std::strerror(cause),
                 "nothing was created", remedy_for(cause, folder)};
  }
  // Wishes, all of them: the memory is there already.
  if (options.transparent_huge) {
    ::madvise(region.get_address(), bytes, MADV_HUGEPAGE);
  } else {
    ::madvise(region.get_address(), bytes, MADV_POPULATE_WRITE);
  }
  ::madvise(region.get_address(), bytes, MADV_DONTDUMP);  // a core of the pool would be gigabytes of images
  return region;
}

// The size in pages of the memory there, if there is room for it.
Result<std::size_t> Segment::whole_pages(const std::string& name, std::size_t bytes, const std::string& folder) {
  struct statvfs fs {};
  if (::statvfs(folder.c_str(), &fs) != 0) {
    return Error{"shm.cannot-create", "cannot look at " + folder + ": " + std::strerror(errno), "nothing was created",
                 "check that it is mounted and that this user may enter it"};
  }
  bytes = (bytes + fs.f_bsize - 1) / fs.f_bsize * fs.f_bsize;
  if (const auto free = shared_memory_free(folder); free && *free < bytes) return no_space(name, bytes, folder, ENOSPC);
  return bytes;
}

Result<Segment> Segment::create_nameless(const std::string& purpose, std::size_t bytes, const SegmentOptions& options) {
  const std::string folder = options.folder.empty() ? kShmFolder : options.folder;
  const auto size = whole_pages(purpose, bytes, folder);
  if (!size) return size.error();
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  const auto refused = [&](const std::string& why) {
    return Error{"shm.cannot-create", "cannot make shared memory " + purpose + " in " + folder + ": " + why,
                 "nothing was created", "check that " + folder + " is mounted and writable for this user"};
  };
  if (fd < 0) return refused(std::strerror(errno));
  const std::string way_in = "/proc/self/fd/" + std::to_string(fd);
  try {
    const auto object = [&] {
      const std::unique_ptr<const int, void (*)(const int*)> open(&fd, [](const int* one) { ::close(*one); });
      return bip::file_mapping(way_in.c_str(), bip::read_write);
    }();
    auto region = furnish(object, purpose, *size,
                          {.transparent_huge = options.transparent_huge, .numa_node = options.numa_node}, folder);
    if (!region) return region.error();
    return Segment(purpose, std::move(*region), "");
  } catch (const bip::interprocess_exception& failure) {
    if (failure.get_native_error() == ENOMEM) return no_space(purpose, bytes, folder, ENOMEM);
    return refused(failure.what());
  }
}

Result<Segment> Segment::create(const std::string& name, std::size_t bytes, const SegmentOptions& options) {
  const std::string folder = options.folder.empty() ? kShmFolder : options.folder;
  const auto size = whole_pages(name, bytes, folder);
  if (!size) return size.error();
  bytes = *size;

  const std::string temporary = temporary_name(name);
  const AboveStdio above;
  bool made = false;
  try {
    auto region = [&]() -> Result<bip::mapped_region> {
      if (options.folder.empty()) {
        bip::shared_memory_object object(bip::create_only, temporary.c_str(), bip::read_write,
                                         bip::permissions(static_cast<int>(options.mode)));
        made = true;
        return furnish(object, name, bytes, options, folder);
      }
      // The link is there before the file, so that whoever clears away what we left behind finds both.
      const std::string file = folder + temporary.substr(0, temporary.size() - std::strlen(".tmp"));
      std::filesystem::create_symlink(file, kShmFolder + temporary);
      made = true;
      make_file(file, options.mode);
      bip::file_mapping object(file.c_str(), bip::read_write);
      return furnish(object, name, bytes, options, folder);
    }();
    if (!region) {
      unlink(temporary);
      return region.error();
    }
    return Segment(name, std::move(*region), temporary);
  } catch (const std::exception& failure) {  // of Boost.Interprocess and std::filesystem
    if (made) unlink(temporary);
    const auto* of_mapping = dynamic_cast<const bip::interprocess_exception*>(&failure);
    if (of_mapping != nullptr && of_mapping->get_native_error() == ENOMEM) return no_space(name, bytes, folder, ENOMEM);
    return Error{"shm.cannot-create", "cannot make shared memory " + name + ": " + failure.what(),
                 "nothing was created", "check that " + folder + " is mounted and writable for this user"};
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
  const AboveStdio above;
  try {
    if (const std::string file = target_of(name); !file.empty()) {
      const bip::file_mapping object(file.c_str(), mode);
      return map(object, name, mode, at_least);
    }
    const bip::shared_memory_object object(bip::open_only, name.c_str(), mode);
    return map(object, name, mode, at_least);
  } catch (const bip::interprocess_exception& failure) {
    return cannot_open(name, "", failure.get_native_error());
  }
}

template <class Object>
Result<Segment> Segment::map(const Object& object, const std::string& name, boost::interprocess::mode_t mode,
                             std::size_t at_least) {
  struct stat info {};
  if (::fstat(descriptor_of(object), &info) != 0) {
    return cannot_open(name, " to see its size", errno);
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return Error{"shm.world-writable", "shared memory " + name + " may be written by everybody on this machine",
                 "it was not used", "set pool.mode to 0660 and restart peaknetd"};
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size < at_least) {
    return Error{"shm.too-small",
                 "shared memory " + name + " has " + std::to_string(size) + " bytes, at least " +
                     std::to_string(at_least) + " are needed: it was truncated, or made by something else",
                 "it was not used", "stop the instance and start peaknetd again"};
  }
  bip::mapped_region region(object, mode, 0, size);
  ::madvise(region.get_address(), size, MADV_DONTDUMP);
  return Segment(name, std::move(region), "");
}

bool Segment::unlink(const std::string& name) {
  if (const std::string file = target_of(name); !file.empty()) ::unlink(file.c_str());
  return ::shm_unlink(name.c_str()) == 0;
}

Status Segment::lock() const {
  if (::mlock(data(), size()) == 0) return {};
  return Error{"shm.cannot-lock",
               "cannot lock the " + human_bytes(size()) + " of " + name_ + " into memory: " + std::strerror(errno),
               "it works without", "raise LimitMEMLOCK of the unit (ulimit -l), or set pool.lock to false"};
}

}  // namespace peaknet::shm
