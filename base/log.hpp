// The log of a program: one line per event on stderr, through spdlog's default logger.
//
// On a terminal or in a file each line has its time (ISO 8601, UTC), level and program. Where stderr is the journal
// (JOURNAL_STREAM names it, systemd sets that) lines go to it with fields for run, frame, device and event
// (base/journald.hpp), without a time: the journal has its own. Target peaknet_log; programs that want no log
// (peaknetctl) do not link it.
#pragma once

#include <string>

namespace peaknet {

// Called once, at the start of main, before other threads exist. `level` is one that the configuration allows for
// log.level: trace, debug, info, warn, error; anything else counts as info. Each line is written at once: none is lost
// to a crash. A reader of stderr that stands still holds nobody up for more than 0.1 s: lines are lost then, and their
// number is said when it reads again.
// `journal` is where the journal listens; a test names another place.
void set_up_log(const std::string& program, const std::string& level,
                const std::string& journal = "/run/systemd/journal/socket");

// The line that a program ends with, also before its log is set up: in the journal with its fields, so that
// `journalctl -x` explains it; else "PROGRAM: text" on stderr.
void say_last_words(const std::string& program, const std::string& text);

}  // namespace peaknet
