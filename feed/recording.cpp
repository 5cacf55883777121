#include "feed/recording.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include "base/process_limits.hpp"
#include "base/write_all.hpp"
#include "feed/decoders/decoder.hpp"

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;

Error trouble(const std::string& path, int number, const std::string& untouched) {
  const bool full = number == ENOSPC || number == EDQUOT;
  return {full ? "record.no-space" : "record.cannot-write", "cannot write " + path + ": " + std::strerror(number),
          untouched,
          full ? "make room on that disk, or record to another one"
               : remedy_for_write(number, "check the folder, its permissions and the state of its disk")};
}

std::string suffix_of(std::span<const std::byte> message) {
  constexpr std::array<const char*, 5> kSuffixes = {"npz", "h5", "cbor", "bin", "bin"};
  return kSuffixes[static_cast<std::size_t>(dialect_of(message))];
}

// The n of "{begin}{n}.{suffix}"; nullopt for other names.
std::optional<std::uint64_t> number_of(const std::string& name, const std::string& begin) {
  if (!name.starts_with(begin) || name.ends_with(".part")) return std::nullopt;
  std::uint64_t number = 0;
  const char* const from = name.data() + begin.size();
  const auto [end, error] = std::from_chars(from, name.data() + name.size(), number);
  if (error != std::errc{} || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return number;
}

}  // namespace

Recording::Recording(const RecordingOptions& options) : options_(options) {
  const fs::path prefix(options.prefix);
  folder_ = prefix.has_parent_path() ? prefix.parent_path() : fs::path(".");
  begin_ = prefix.filename().string() + "_r" + std::to_string(options.rank);
  list_ = folder_ / (begin_ + ".lst");
  begin_ += "_";
}

Recording::~Recording() {
  if (list_fd_ >= 0) close(list_fd_);
}

Result<std::unique_ptr<Recording>> Recording::open(const RecordingOptions& options) {
  std::unique_ptr<Recording> made(new Recording(options));
  std::error_code problem;
  fs::create_directories(made->folder_, problem);
  if (problem) return trouble(made->folder_.string(), problem.value(), "nothing was received");
  made->list_fd_ = ::open(made->list_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (made->list_fd_ < 0) return trouble(made->list_.string(), errno, "nothing was received");
  if (auto good = made->take_up(); !good) return good.error();
  return made;
}

// What an earlier recorder has left.
Status Recording::take_up() {
  std::set<std::string> listed;
  std::uint64_t whole = 0;  // bytes of the list up to its last whole line
  {
    std::ifstream in(list_);
    for (std::string line; std::getline(in, line) && !in.eof(); whole += line.size() + 1)
      listed.insert(line.substr(0, line.find('\t')));
  }
  if (ftruncate(list_fd_, static_cast<off_t>(whole)) != 0)
    return trouble(list_.string(), errno, "nothing was received");
  std::map<std::uint64_t, std::string> unlisted;
  std::error_code problem;
  for (fs::directory_iterator entry(folder_, problem), end; !problem && entry != end; entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    const auto number = number_of(name, begin_);
    std::error_code gone;
    if (!number || !entry->is_regular_file(gone)) continue;
    ++files_;
    if (const auto size = entry->file_size(gone); !gone) bytes_ += size;
    next_ = std::max(next_, *number + 1);
    if (!listed.contains(name)) unlisted[*number] = name;
  }
  if (problem) return trouble(folder_.string(), problem.value(), "nothing was received");
  for (const auto& [number, name] : unlisted) {
    struct stat about {};
    if (stat((folder_ / name).c_str(), &about) != 0) continue;
    if (auto good = append(name, about.st_mtim.tv_sec * 1'000'000'000LL + about.st_mtim.tv_nsec); !good) return good;
  }
  return {};
}

std::string Recording::name_of(std::uint64_t number, const std::string& suffix) const {
  return begin_ + std::to_string(number) + "." + suffix;
}

// A whole line, or nothing.
Status Recording::append(const std::string& name, std::int64_t received_ns) {
  const std::string line = name + "\t" + std::to_string(received_ns) + "\n";
  const off_t before = lseek(list_fd_, 0, SEEK_END);
  int failed = write_all(list_fd_, std::as_bytes(std::span(line)));
  if (failed == 0 && options_.sync && fdatasync(list_fd_) != 0) failed = errno;
  if (failed == 0) return {};
  if (before >= 0 && ftruncate(list_fd_, before) != 0) failed = errno;
  return trouble(list_.string(), failed, "the message is not in the recording");
}

Status Recording::keep(std::span<const std::byte> message, std::int64_t received_ns) {
  const std::string name = name_of(next_, suffix_of(message));
  const fs::path path = folder_ / name, part = folder_ / (name + ".part");
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return trouble(part.string(), errno, "the message is not in the recording");
  int failed = write_all(fd, message);
  if (failed == 0 && options_.sync && fsync(fd) != 0) failed = errno;
  if (close(fd) != 0 && failed == 0) failed = errno;
  if (failed == 0 && rename(part.c_str(), path.c_str()) != 0) failed = errno;
  if (failed != 0) {
    unlink(part.c_str());
    return trouble(path.string(), failed, "the message is not in the recording");
  }
  if (auto good = append(name, received_ns); !good) {
    unlink(path.c_str());
    return good;
  }
  ++next_;
  ++files_;
  bytes_ += message.size();
  return {};
}

Status Recording::flush() {
  const int fd = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool good = fd >= 0 && syncfs(fd) == 0 && fsync(fd) == 0;
  const int failed = errno;
  if (fd >= 0) close(fd);
  if (good) return {};
  return trouble(folder_.string(), failed, "the files are there, but may not survive a power cut");
}

}  // namespace peaknet::feed
