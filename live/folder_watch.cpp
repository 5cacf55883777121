#include "live/folder_watch.hpp"

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace peaknet::live {

Result<FolderWatch> FolderWatch::open(const std::filesystem::path& folder) {
  Descriptor inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify.get() < 0 ||
      ::inotify_add_watch(inotify.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0) {
    return Error{"live.cannot-watch", "cannot watch " + folder.string() + ": " + std::strerror(errno),
                 "nothing was served",
                 "does output.dir exist, and may this user read it? (fs.inotify.max_user_instances limits watches)"};
  }
  return FolderWatch(std::move(inotify));
}

void FolderWatch::follow(const std::filesystem::path& file) const {
  (void)::inotify_add_watch(inotify_.get(), file.c_str(), IN_MODIFY);
}

bool FolderWatch::drain() const {
  bool names = false;
  alignas(inotify_event) std::array<char, 16384> bytes{};
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), bytes.data(), bytes.size());
    if (got <= 0) return names;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(bytes.data() + at);
      names = names || (event->mask & ~static_cast<unsigned>(IN_MODIFY | IN_IGNORED)) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

}  // namespace peaknet::live
