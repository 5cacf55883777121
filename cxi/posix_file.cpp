#include "cxi/posix_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/process_limits.hpp"
#include "base/text.hpp"

namespace peaknet::writer {
namespace {

template <class Call>
auto again_if_interrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Error too_large(std::string what) {
  const auto limit = limit_of(RLIMIT_FSIZE);
  return {"output.file-too-large",
          std::move(what) + (limit ? " (files of this program may have " + human_bytes(*limit) + ")" : ""), "",
          limit ? "raise the limit of file size of whoever starts the writer (ulimit -f, LimitFSIZE)"
                : "a file system that takes larger files, or a smaller output.events_per_file"};
}

}  // namespace

Error disk_error(std::string_view action, const std::filesystem::path& path, int code) {
  const std::string what =
      "cannot " + std::string(action) + " " + path.string() + ": " + std::system_category().message(code);
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return {"output.disk-full", what, "", "free space on that file system; the writer continues by itself"};
    case EFBIG:
      return too_large(what);
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return {"output.folder-missing", what, "", "make the folder output.dir again; the writer continues by itself"};
    case EMFILE:
    case ENFILE: {
      const Error limit = no_descriptors(code);
      return {limit.id, "cannot " + std::string(action) + " " + path.string() + ": " + limit.what, "", limit.remedy};
    }
    case EACCES:
    case EPERM:
    case EROFS:
      return {"output.denied", what, "", "let the writer's user write into output.dir"};
    case EEXIST:
      return {"output.exists", what, "the file that is there was not changed", "move that file away"};
    case ENOLCK:
    case ENOSYS:
    case EOPNOTSUPP:
      return {"output.no-locks", what, "",
              "use a file system with flock(2) for output.dir (Lustre: mount with -o flock)"};
    default:
      return {"output.disk-error", what, "", "look at the disk (dmesg); the writer tries again by itself"};
  }
}

PosixFile::PosixFile(PosixFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

PosixFile& PosixFile::operator=(PosixFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

PosixFile::~PosixFile() { close(); }

void PosixFile::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<PosixFile> PosixFile::open(const std::filesystem::path& path, int flags, unsigned mode) {
  PosixFile file;
  file.path_ = path;
  file.fd_ = again_if_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (file.fd_ < 0) return disk_error("open", path, errno);
  return file;
}

Status PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n =
        again_if_interrupted([&] { return ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) return disk_error("write", path_, errno);
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status PosixFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n =
        again_if_interrupted([&] { return ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) return disk_error("read", path_, errno);
    if (n == 0) {
      return Error{"file.short",
                   path_.string() + " ends " + std::to_string(bytes.size()) + " bytes too early (at byte " +
                       std::to_string(offset) + ")",
                   "", "was it cut or copied while it was written?"};
    }
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::uint64_t> PosixFile::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return disk_error("look at", path_, errno);
  return static_cast<std::uint64_t>(info.st_size);
}

Status PosixFile::sync() const {
  if (again_if_interrupted([&] { return ::fdatasync(fd_); }) != 0)
    return disk_error("make durable (fdatasync)", path_, errno);
  return {};
}

void PosixFile::begin_sync(std::uint64_t offset, std::uint64_t bytes) const {
  (void)::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
}

void PosixFile::drop_cached() const { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

Status PosixFile::resize(std::uint64_t bytes) const {
  if (again_if_interrupted([&] { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) != 0)
    return disk_error("resize", path_, errno);
  return {};
}

Status PosixFile::reserve(std::uint64_t begin, std::uint64_t end) const {
  if (end <= begin) return {};
  if (auto may = may_grow_to(end, path_); !may) return may;
  const int result = again_if_interrupted([&] {
    return ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  });
  if (result == 0) return {};
  if (errno != EOPNOTSUPP && errno != ENOSYS) return disk_error("reserve space in", path_, errno);
  const auto free = free_bytes(path_.parent_path());
  if (!free) return free.error();
  if (*free >= end - begin) return {};
  return Error{"output.disk-full",
               "only " + human_bytes(*free) + " are free in " + path_.parent_path().string() + ", " +
                   human_bytes(end - begin) + " are needed",
               "", "free space on that file system; the writer continues by itself"};
}

Status may_grow_to(std::uint64_t bytes, const std::filesystem::path& path) {
  if (const auto limit = limit_of(RLIMIT_FSIZE); !limit || bytes <= *limit) return {};
  return too_large("cannot make " + path.string() + " as large as " + human_bytes(bytes));
}

bool PosixFile::is_named(const std::filesystem::path& name) const {
  struct stat mine {};
  struct stat named {};
  return ::fstat(fd_, &mine) == 0 && ::stat(name.c_str(), &named) == 0 && mine.st_ino == named.st_ino &&
         mine.st_dev == named.st_dev;
}

Result<bool> PosixFile::try_lock() const {
  if (again_if_interrupted([&] { return ::flock(fd_, LOCK_EX | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return disk_error("lock", path_, errno);
}

Status sync_folder(const std::filesystem::path& folder) {
  auto opened = PosixFile::open(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return opened.error();
  if (again_if_interrupted([&] { return ::fsync(opened->fd()); }) != 0)
    return disk_error("make durable (fsync)", folder, errno);
  return {};
}

Status remove_name(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return disk_error("remove", path, errno);
}

Status publish_name(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    // Some network file systems know only the plain rename; looking first is then the best there is.
    if (errno != EINVAL && errno != ENOSYS) return disk_error("rename " + from.filename().string() + " to", to, errno);
    if (::access(to.c_str(), F_OK) == 0) return disk_error("rename " + from.filename().string() + " to", to, EEXIST);
    if (::rename(from.c_str(), to.c_str()) != 0)
      return disk_error("rename " + from.filename().string() + " to", to, errno);
  }
  return sync_folder(to.parent_path());
}

Status replace_name(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return disk_error("rename " + from.filename().string() + " to", to, errno);
  return {};
}

Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return disk_error("look at", folder, errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace peaknet::writer
