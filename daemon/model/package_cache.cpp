#include "daemon/model/package_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace peaknet::model {
namespace {

namespace fs = std::filesystem;

Error failed(const std::string& doing, const fs::path& path, const std::string& cause) {
  return {"model.cache", "cannot " + doing + " " + path.string() + ": " + cause, "no model was touched",
          "the folder must be writable for this user alone; XDG_CACHE_HOME names another"};
}

// Only this user may have a hand in what will be run.
Status check_owner(const fs::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return failed("read", folder, std::strerror(errno));
  if (info.st_uid != ::geteuid()) return failed("use", folder, "it belongs to user " + std::to_string(info.st_uid));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return failed("use", folder, "others may write it");
  return {};
}

bool whole(const fs::path& folder, const std::vector<PackedFile>& files) {
  return std::all_of(files.begin(), files.end(), [&](const PackedFile& file) {
    std::error_code unread;
    return fs::file_size(folder / file.name, unread) == file.bytes && !unread;
  });
}

Status sync(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed("open", path, std::strerror(errno));
  const int result = ::fsync(file);
  const int cause = errno;
  ::close(file);
  if (result != 0) return failed("sync", path, std::strerror(cause));
  return {};
}

// A folder that is removed again unless it was moved to its final name.
class Draft {
 public:
  explicit Draft(fs::path path) : path_(std::move(path)) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    std::error_code ignored;  // gone, because it was moved
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Status fill(const fs::path& folder, const std::vector<PackedFile>& files,
            const std::function<Status(const PackedFile&, const std::string&)>& write) {
  for (const auto& file : files) {
    const fs::path path = folder / file.name;
    std::error_code bad;
    fs::create_directories(path.parent_path(), bad);
    if (bad) return failed("make", path.parent_path(), bad.message());
    if (auto written = write(file, path.string()); !written) return written;
    if (auto synced = sync(path); !synced) return synced;
  }
  return {};
}

}  // namespace

fs::path model_cache() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const auto folder = variable("CACHE_DIRECTORY"); !folder.empty()) return fs::path(folder) / "models";
  if (const auto folder = variable("XDG_CACHE_HOME"); !folder.empty()) return fs::path(folder) / "peaknetd" / "models";
  if (const auto home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache" / "peaknetd" / "models";
  return fs::path("/tmp") / ("peaknet-" + std::to_string(::geteuid())) / "models";
}

Result<fs::path> unpacked(const fs::path& cache, const std::string& sha256, const std::vector<PackedFile>& files,
                          const std::function<Status(const PackedFile&, const std::string&)>& write) {
  for (const auto& file : files) {
    const fs::path name(file.name);
    if (file.name.empty() || name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end()) {
      return Error{"model.bad-package", "the package holds a file named '" + file.name + "'", "nothing was unpacked",
                   "do not use it"};
    }
  }
  std::error_code bad;
  fs::create_directories(cache.parent_path(), bad);
  if (bad) return failed("make", cache.parent_path(), bad.message());
  if (::mkdir(cache.c_str(), 0700) != 0 && errno != EEXIST) return failed("make", cache, std::strerror(errno));
  if (auto ours = check_owner(cache); !ours) return ours.error();

  const fs::path folder = cache / sha256;
  if (whole(folder, files)) return folder;
  std::string name = (cache / (".draft-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) return failed("make a folder in", cache, std::strerror(errno));
  const Draft draft(name);
  if (auto filled = fill(draft.path(), files, write); !filled) return filled.error();
  // Twice: the folder may be there and damaged, or another process may have been faster.
  for (int tries = 0; tries < 2; ++tries) {
    fs::rename(draft.path(), folder, bad);
    if (!bad || whole(folder, files)) break;
    std::error_code ignored;  // the next rename says why it does not work
    fs::remove_all(folder, ignored);
  }
  if (!whole(folder, files)) return failed("put the package into", folder, bad.message());
  if (auto synced = sync(cache); !synced) return synced.error();
  return folder;
}

}  // namespace peaknet::model
