#include "feed/throttled_log.hpp"

#include "base/log_line.hpp"

namespace peaknet::feed {

bool ThrottledLog::report(const Error& error) {
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t silent = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto [cause, first] = causes_.try_emplace(error.id);
    if (!first && now - cause->second.logged < interval_) {
      ++cause->second.silent;
      return false;
    }
    silent = cause->second.silent;
    cause->second = {now, 0};
  }
  if (silent > 0) {
    log::warn("{} (and {} more of this kind since the last such line)", error.text(), silent);
  } else {
    log::warn("{}", error.text());
  }
  return true;
}

}  // namespace peaknet::feed
