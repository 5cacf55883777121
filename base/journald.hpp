// The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a line of the log as a datagram with fields, so that
// journalctl can be asked for a run, a frame, a device or a kind of error:
//
//   journalctl PEAKNET_RUN=0217          PEAKNET_EVENT=device.lost    PEAKNET_DEVICE=1    PEAKNET_FRAME=3:1207
//
// The fields are read from the line's own words, which are the same on a terminal: "run 0217", "device 1",
// "producer 3 frame 1207", and the id in brackets at its end. So a line says the same everywhere, and no caller has to
// know of the journal. Pure functions but for JournaldSocket.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peaknet {

// PEAKNET_RUN, PEAKNET_FRAME, PEAKNET_DEVICE, PEAKNET_EVENT, as far as the line names them.
std::vector<std::pair<std::string, std::string>> journal_fields(std::string_view line);

// MESSAGE_ID of the main events: by it journalctl finds all of a kind in any version, and `journalctl -x` says what it
// means (systemd/peaknet.catalog). `event`: an id as in brackets, or run-begins, run-ended.
struct MessageId {
  std::string_view event, id;
};
std::span<const MessageId> message_ids();
// "" for a line that tells of none of them.
std::string_view message_id(std::string_view line);

// `priority` is syslog's, 0 to 7.
std::string journal_datagram(const std::string& program, int priority, std::string_view line);

// One thread at a time.
class JournaldSocket {
 public:
  explicit JournaldSocket(std::string path = "/run/systemd/journal/socket");
  ~JournaldSocket();
  JournaldSocket(const JournaldSocket&) = delete;
  JournaldSocket& operator=(const JournaldSocket&) = delete;
  // False, and never an exception or a wait: nobody reads there, or the datagram is too large. Say it on stderr then.
  bool send(const std::string& datagram) const;

 private:
  std::string path_;
  int fd_;
};

}  // namespace peaknet
