#include "base/small_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/special_file.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"

namespace peaknet {
namespace {

std::string reason(int cause) { return std::system_category().message(cause); }

bool is_of_this_process(std::string_view path) {
  return path.starts_with("/dev/fd/") || path == "/dev/stdin" || path.starts_with("/proc/self/fd/");
}

}  // namespace

SmallFile read_small_file(const std::string& path, std::uint64_t most) {
  // A pipe without a writer would keep an open that blocks.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0) return {"", reason(errno)};
  if (S_ISDIR(about.st_mode)) return {"", "it is a folder"};
  if (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode)) {
    if (!is_of_this_process(path)) return {"", kSpecialFile};
    ::fcntl(file.get(), F_SETFL, O_RDONLY);
  }
  std::string text;
  for (std::array<char, 8192> part{};;) {
    const ssize_t size = ::read(file.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {"", reason(errno)};
    if (size == 0) return {std::move(text), ""};
    text.append(part.data(), static_cast<std::size_t>(size));
    if (text.size() > most) return {"", "it has more than " + human_bytes(most)};
  }
}

}  // namespace peaknet
