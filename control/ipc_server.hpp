// IpcServer: the server's end of one ipc:// endpoint: it takes the connections of a Unix socket and speaks ZMTP with
// them (zmtp.hpp), so that any ZeroMQ DEALER can ask. libzmq is not used for it: it keeps a message until its last part
// has come, however many there are, and aborts the process where no descriptor is left for a connection
// (docs/decisions.md).
//
// Bounds: kMostConnections, and a quarter of the process's descriptors is kept back; who does not fit is turned away at
// once. kHandshake for the handshake. Of a peer, one frame and kReadBytes are kept; while kMostWaitingBytes of replies
// wait for it, nothing more is read from it, and so none of its replies is lost.
//
// Threads: one. Nothing here waits, but `finish`.
// Errors: what a peer does wrong ends its connection and is counted (`tally`).
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "control/unix_listener.hpp"
#include "control/zmtp.hpp"

namespace peaknet::control {

class IpcServer {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostConnections = 1024;
  static constexpr std::size_t kReadBytes = std::size_t{16} << 10;
  static constexpr std::size_t kMostWaitingBytes = std::size_t{256} << 10;
  static constexpr std::chrono::milliseconds kHandshake{2000};

  struct Message {
    std::uint64_t peer;  // never used twice
    std::string from;    // "uid 1000 pid 123"
    std::string text;
    int parts;  // of several, text is empty
  };
  using Take = std::function<void(Message)>;

  // What peers cost their connections by, since it was last asked.
  struct Tally {
    std::uint64_t turned_away = 0;  // there was no room
    std::uint64_t ended = 0;        // what they sent, or did not send in time, ended the connection
    std::string last = {};          // the reason of the last of these, and who it was
  };

  // Errors: control.cannot-bind.
  static Result<IpcServer> open(UnixListener listener);

  // Readable while there is something to do.
  int fd() const { return epoll_.get(); }
  // When `turn` has something to do without it.
  std::optional<Clock::time_point> deadline() const;

  // New connections, what they sent, and replies that did not fit before. True: there was something.
  bool turn(const Take& take);
  // One reply, which goes out as the peer reads. To a peer that has gone: nothing.
  void send(std::uint64_t peer, const std::string& text);
  // Until all replies have left, or `until`.
  void finish(Clock::time_point until);

  // Is the path still our socket?
  bool bound() const { return listener_ && listener_->still_there(); }
  // The path was removed: lets go of it. Who is connected stays so.
  void unbind();
  Status bind(UnixListener listener);

  Tally tally() { return std::exchange(tally_, {}); }

 private:
  struct Peer {
    UniqueFd fd;
    std::string from;
    ZmtpReader reader = {};
    bool ready = false;
    std::string out = {};  // what the socket has not taken
    std::uint32_t watched = 0;
  };

  IpcServer() = default;
  void take_connections();
  void take_in(UniqueFd fd);
  bool has_room_for(int fd) const;
  bool serve(std::uint64_t id, Peer& peer, std::uint32_t events, const Take& take);
  bool read(Peer& peer);
  bool hear(std::uint64_t id, Peer& peer, const Take& take);
  static void write(Peer& peer, const std::string& bytes);
  static void flush(Peer& peer);
  void watch(std::uint64_t id, Peer& peer);
  void end_late();
  void end(const Peer& peer, const std::string& why);

  UniqueFd epoll_;
  UniqueFd spare_;  // given up for a moment, to take a connection and close it where no descriptor is left
  std::optional<UnixListener> listener_;
  std::unordered_map<std::uint64_t, Peer> peers_;
  std::uint64_t last_id_ = 0;                                           // 0 is the listening socket
  std::deque<std::pair<Clock::time_point, std::uint64_t>> handshakes_;  // the oldest first
  std::array<char, kReadBytes> read_space_{};
  Tally tally_;
};

}  // namespace peaknet::control
