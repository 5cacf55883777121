// What systemd wants to know (sd_notify): nothing happens where the program was not started by systemd, or was built
// without libsystemd. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace peaknet::supervisor {

void notify_ready();
void notify_stopping();
void notify_status(const std::string& text);               // the line that systemctl status shows
void notify_watchdog();                                    // "still making progress"
void notify_extend_timeout(std::chrono::microseconds by);  // while draining

// How often the watchdog wants to hear from us, if there is one: half of its time-out.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace peaknet::supervisor
