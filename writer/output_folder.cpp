#include "writer/output_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cxi/posix_file.hpp"

namespace peaknet::writer {
namespace {

Error refusal(const char* action, const std::filesystem::path& folder, int code, const std::string& unit) {
  Error error = disk_error(action, folder, code);
  // Read-only for the unit alone, or for all: the drop-in cures the first, and a disk that is read-only shows then. The
  // folder is named once, since the control segment holds 256 characters.
  if (code == EROFS && !unit.empty()) {
    error.untouched.clear();
    error.what = "output.dir is read-only for this unit";
    error.remedy = "systemctl edit " + unit + ": [Service] ReadWritePaths=" + folder.string() +
                   ", a folder that is there and its user's";
  } else if (error.id == "output.folder-missing") {
    error.remedy = "correct output.dir";
  }
  return error;
}

}  // namespace

Status prepare_output_folder(const std::filesystem::path& folder, const std::string& unit) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return refusal("make the folder output.dir,", folder, failed.value(), unit);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return refusal("write into output.dir,", folder, errno, unit);
  // Recovery stands on flock(2); a file system without it shows that here and not in the middle of a run.
  const auto opened = PosixFile::open(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return opened.error();
  if (const auto locked = opened->try_lock(); !locked) return locked.error();
  return {};
}

}  // namespace peaknet::writer
