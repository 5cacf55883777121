#include "daemon/supervisor/systemd_notify.hpp"

#if PEAKNET_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace peaknet::supervisor {
namespace {

void tell([[maybe_unused]] const std::string& message) {
#if PEAKNET_HAVE_SYSTEMD
  ::sd_notify(0, message.c_str());  // fails only where nobody listens
#endif
}

}  // namespace

void notify_ready() { tell("READY=1"); }
void notify_stopping() { tell("STOPPING=1"); }
void notify_status(const std::string& text) { tell("STATUS=" + text); }
void notify_watchdog() { tell("WATCHDOG=1"); }
void notify_extend_timeout(std::chrono::microseconds by) { tell("EXTEND_TIMEOUT_USEC=" + std::to_string(by.count())); }

std::optional<std::chrono::microseconds> watchdog_interval() {
#if PEAKNET_HAVE_SYSTEMD
  std::uint64_t usec = 0;
  if (::sd_watchdog_enabled(0, &usec) > 0) return std::chrono::microseconds(usec / 2);
#endif
  return std::nullopt;
}

}  // namespace peaknet::supervisor
