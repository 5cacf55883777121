#include "shm/opening.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/accounts.hpp"
#include "base/process_limits.hpp"
#include "base/text.hpp"

namespace peaknet::shm {
namespace {

Error denied(const std::string& what, const std::string& name, int cause) {
  struct stat info {};
  if (::stat(("/dev/shm" + name).c_str(), &info) != 0) {
    return {"shm.denied", what + ": " + std::strerror(cause), "it was not touched",
            "join the group that owns /dev/shm" + name + " (pool.group in the configuration)"};
  }
  return {"shm.denied",
          what + ": " + std::strerror(cause) + "; it belongs to " +
              user_name(info.st_uid).value_or("uid " + std::to_string(info.st_uid)) + " and group " +
              group_name(info.st_gid).value_or("gid " + std::to_string(info.st_gid)),
          "it was not touched",
          "join that group (pool.group of its configuration), or use an instance name of your own"};
}

}  // namespace

AboveStdio::AboveStdio() {
  for (int number = 0; number < 3; ++number) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    const int opened = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (opened == number) {
      ours_.at(static_cast<std::size_t>(number)) = true;
    } else if (opened >= 0) {
      ::close(opened);  // somebody took the number meanwhile
    }
  }
}

AboveStdio::~AboveStdio() {
  const int cause = errno;
  for (int number = 0; number < 3; ++number) {
    if (ours_.at(static_cast<std::size_t>(number))) ::close(number);
  }
  errno = cause;
}

Error cannot_open(const std::string& name, const std::string& purpose, int cause) {
  const std::string what = "cannot open shared memory " + name + purpose;
  if (cause == ENOENT) {
    return {"shm.absent", "there is no shared memory " + name, "",
            "start peaknetd for this instance, or check the instance name; in a container it needs the host's /dev/shm "
            "(--ipc=host)"};
  }
  if (cause == EACCES || cause == EPERM) return denied(what, name, cause);
  const Error error{"shm.cannot-open", what + ": " + std::strerror(cause), "it was not touched", ""};
  const auto with = [&](const std::string& limit, const std::string& remedy) {
    return Error{error.id, error.what + limit, error.untouched, remedy};
  };
  if (cause == EMFILE) {
    const auto limit = limit_of(RLIMIT_NOFILE);
    return with(limit ? " (this program may have " + std::to_string(*limit) + ")" : "",
                "close files, or raise the limit of open files (ulimit -n, LimitNOFILE of the unit)");
  }
  if (cause == ENFILE) return with(" (of the whole machine)", "sysctl fs.file-max; find who holds so many files");
  if (cause == ENOMEM) {
    const auto limit = limit_of(RLIMIT_AS);
    return with(limit ? " (the address space of this program is limited to " + human_bytes(*limit) + ")" : "",
                limit ? "raise the limit (ulimit -v): the pool is mapped whole" : "free memory on this machine");
  }
  return with("", "look at /dev/shm" + name + " and at dmesg of this machine");
}

}  // namespace peaknet::shm
