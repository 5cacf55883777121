#include "control/unix_listener.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/accounts.hpp"

namespace peaknet::control {
namespace {

constexpr int kBacklog = 128;

Error cannot(const std::string& what, int cause, const std::string& remedy) {
  return {"control.cannot-bind", what + ": " + std::strerror(cause), "nothing was changed", remedy};
}

// Where a folder that nobody configured comes from: " (from XDG_RUNTIME_DIR)".
std::string origin(const std::string& folder) {
  for (const char* variable : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] == '/' && folder.starts_with(value))
      return std::string(" (from ") + variable + ")";
  }
  return "";
}

// The number of a group, by name or number.
Result<std::optional<gid_t>> group_number(const std::string& group) {
  if (group.empty()) return std::optional<gid_t>{};
  std::vector<char> space(std::size_t{64} << 10);
  struct group entry {};
  struct group* found = nullptr;
  ::getgrnam_r(group.c_str(), &entry, space.data(), space.size(), &found);
  if (found == nullptr) {
    return Error{"control.group", "there is no group '" + group + "' for the control socket", "nothing was changed",
                 "create it (groupadd --system " + group + ") or correct pool.group"};
  }
  return std::optional<gid_t>{found->gr_gid};
}

Status give_group(const std::string& path, std::optional<gid_t> group, const std::string& group_name) {
  if (!group || ::chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0) return {};
  return Error{"control.group", "cannot give " + path + " to the group '" + group_name + "': " + std::strerror(errno),
               "nothing was changed", "run peaknetd as root or as a member of that group"};
}

// Who owns the folder above could put another one in our folder's place.
Status check_parent(const std::string& parent) {
  struct stat there {};
  if (::stat(parent.c_str(), &there) != 0)
    return cannot("cannot look at the folder " + parent, errno, "choose another control.endpoint");
  const bool others_may_replace = (there.st_mode & S_IWOTH) != 0 && (there.st_mode & S_ISVTX) == 0;
  if (!others_may_replace && (there.st_uid == 0 || there.st_uid == ::geteuid())) return {};
  return Error{"control.cannot-bind",
               "the folder " + parent + " belongs to uid " + std::to_string(there.st_uid) +
                   (others_may_replace ? ", and everybody may replace what is in it" : ""),
               "nothing was changed", "choose another control.endpoint"};
}

Status make_folder(const std::string& folder, std::optional<gid_t> group, const std::string& group_name) {
  // The folder of all instances, which everybody may enter: what is guarded is in the folders of the instances.
  const std::string parent = std::filesystem::path(folder).parent_path();
  if (::access(parent.c_str(), F_OK) != 0 && ::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST)
    return cannot("cannot make the folder " + parent + origin(parent), errno,
                  "make the folder, or choose another control.endpoint");
  if (::access(folder.c_str(), F_OK) != 0) {
    if (auto safe = check_parent(parent); !safe) return safe;
  }
  if (::mkdir(folder.c_str(), 0750) == 0) {
    auto given = give_group(folder, group, group_name);
    if (!given) ::rmdir(folder.c_str());
    return given;
  }
  if (errno != EEXIST) {
    return cannot("cannot make the folder " + folder + origin(folder) + " of the control socket", errno,
                  "make the folder, or choose another control.endpoint");
  }
  struct stat there {};
  if (::stat(folder.c_str(), &there) != 0) {
    return cannot("cannot look at the folder " + folder, errno, "choose another control.endpoint");
  }
  if ((there.st_mode & S_IWOTH) != 0 && (there.st_mode & S_ISVTX) == 0) {
    return Error{"control.cannot-bind", "everybody may replace files in " + folder + ", so also the control socket",
                 "nothing was changed", "chmod o-w " + folder + ", or choose another control.endpoint"};
  }
  return {};
}

std::string read_text(int fd) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size() - 1, 0);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0U};
}

Result<int> take_lock(const std::string& path) {
  const std::string lock_path = path + ".lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0)
    return cannot("cannot open " + lock_path, errno, "see who owns that file, or choose another control.endpoint");
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const std::string pid = read_text(lock);
    ::close(lock);
    return Error{"control.endpoint-taken",
                 "the socket " + path + " belongs to the process with pid " + (pid.empty() ? "unknown" : pid),
                 "it keeps running", "stop that process first, or choose another instance or control.endpoint"};
  }
  const std::string pid = std::to_string(::getpid());
  // For the message above alone: a pid that cannot be written changes nothing.
  if (::ftruncate(lock, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(lock, pid.data(), pid.size(), 0);
  return lock;
}

Status remove_dead_socket(const std::string& path) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return {};
  if (!S_ISSOCK(there.st_mode)) {
    return Error{"control.cannot-bind", path + " is there and is no socket", "it was not touched",
                 "choose another control.endpoint"};
  }
  if (::unlink(path.c_str()) != 0) return cannot("cannot remove the dead socket " + path, errno, "remove it by hand");
  return {};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

std::string owner_of(const std::string& path) {
  struct stat there {};
  if (::stat(path.c_str(), &there) != 0) return "in a folder that you may not enter";
  std::array<char, 16> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", there.st_mode & 07777U);
  return std::string(mode.data()) + " " + user_name(there.st_uid).value_or(std::to_string(there.st_uid)) + ":" +
         group_name(there.st_gid).value_or(std::to_string(there.st_gid));
}

}  // namespace

Result<UnixListener> UnixListener::open(const std::string& path, unsigned mode, const std::string& group) {
  const auto number = group_number(group);
  if (!number) return number.error();
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (auto made = make_folder(folder, *number, group); !made) return made.error();
  auto lock = take_lock(path);
  if (!lock) return lock.error();
  UnixListener listener(path, *lock);
  if (auto removed = remove_dead_socket(path); !removed) return removed.error();

  listener.fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener.fd_ < 0) return cannot("cannot make a socket", errno, "raise the limit of open files (ulimit -n)");
  const sockaddr_un address = address_of(path);
  // Linux gives the path the mode of the socket's own inode, less the umask: it is born closed.
  if (::fchmod(listener.fd_, 0600) != 0 ||
      ::bind(listener.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return cannot("cannot bind " + path, errno, "see that you may write in " + folder);
  }
  listener.bound_ = true;
  struct stat bound {};
  if (::lstat(path.c_str(), &bound) != 0) return cannot("cannot look at " + path, errno, "see who removes it");
  listener.device_ = bound.st_dev;
  listener.inode_ = bound.st_ino;
  if (auto given = give_group(path, *number, group); !given) return given.error();
  if (::chmod(path.c_str(), mode & 0777U) != 0 || ::listen(listener.fd_, kBacklog) != 0) {
    return cannot("cannot listen at " + path, errno, "choose another control.endpoint");
  }
  return listener;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      fd_(std::exchange(other.fd_, -1)),
      bound_(std::exchange(other.bound_, false)),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  std::swap(fd_, other.fd_);
  std::swap(bound_, other.bound_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

UnixListener::~UnixListener() {
  if (still_there()) ::unlink(path_.c_str());
  if (fd_ >= 0) ::close(fd_);
  if (lock_ >= 0) ::close(lock_);
}

bool UnixListener::still_there() const {
  struct stat now {};
  return bound_ && ::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
}

Status probe_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return {};  // the real connection will say what is wrong
  const sockaddr_un address = address_of(path);
  const int cause = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  ::close(fd);
  switch (cause) {
    case ENOENT:
    case ENOTDIR:
      return Error{"control.not-running", "no peaknetd is running: there is no socket " + path, "",
                   "start peaknetd, or check the instance name"};
    case ECONNREFUSED:
      return Error{"control.not-running", "no peaknetd is running: nobody serves the socket " + path, "",
                   "start peaknetd; it replaces the dead socket"};
    case EACCES:
    case EPERM:
      return Error{
          "control.denied",
          "permission denied on " + path + " (" + owner_of(path) + "); you are uid " + std::to_string(::geteuid()),
          "nothing was asked", "ask for membership of that group (pool.group)"};
    default:
      return {};  // a full backlog is somebody who listens
  }
}

}  // namespace peaknet::control
