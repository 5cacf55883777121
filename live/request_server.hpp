// RequestServer: hands replies to workers that ask, over ZeroMQ REQ sockets (TCP), and knows of each reply whether it
// has left this process.
//
// Invariant: between `begins` and `ended` of a handover there is one system call that sends the last byte of the reply.
// A reply without its last byte is none for the worker. So a process that is killed leaves at most one reply of which
// it is not known whether the worker has it, and the record that `begins` makes says which.
//
// A worker whose reply died with the process before this one says nothing and waits for ever (a REQ socket sends no
// second request). So a peer that connects within `wake_within` of our start and stays silent for `silence` gets a
// reply of one byte, which CrystFEL takes for "no frame" and asks again; one that is busy throws it away at its next
// request. The connection ends with it: should the byte have crossed a request, the peer is silent once more, and is
// woken once more.
//
// Threads: one. Waiting is for others: fd() is readable when serve() has something to do.
// Errors: live.cannot-listen.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "live/descriptor.hpp"
#include "live/zmtp.hpp"

namespace peaknet::live {

class RequestServer {
 public:
  using Clock = std::chrono::steady_clock;
  using Peer = std::uint64_t;  // never used twice

  struct Options {
    std::string address;  // tcp://HOST:PORT; port 0 or *: any
    std::chrono::milliseconds wake_within{30'000};
    std::chrono::milliseconds silence{3'000};
  };
  // What becomes of a reply that hand_over() was given. Called from serve() and hand_over().
  struct Handover {
    std::function<Status(Peer)> begins;          // on an error the last byte waits for retry()
    std::function<void(Peer, bool sent)> ended;  // not sent: the connection takes nothing just now, or has gone
    std::function<void(Peer)> lost;              // the peer has gone, and never got it
  };

  static Result<std::unique_ptr<RequestServer>> open(const Options& options, Handover handover);
  ~RequestServer() = default;

  const std::string& address() const { return address_; }  // with the port that it has
  int fd() const { return poll_.get(); }

  // Everything that can be done without waiting.
  void serve();
  // Wakes the silent, lets go of those who linger, tries again what `begins` refused. Every second or so.
  void look_after(Clock::time_point now);

  struct Request {
    Peer peer;
    std::string text;
  };
  // That wait for an answer; the one that has waited longest first.
  std::vector<Request> requests() const;
  std::size_t waiting() const { return asked_.size(); }
  std::size_t peers() const { return connections_.size(); }

  // Answer the request of this peer. hand_over: with the calls of Handover.
  void answer(Peer peer, const Bytes& body) { begin_reply(peer, body, false); }
  void hand_over(Peer peer, const Bytes& body) { begin_reply(peer, body, true); }

 private:
  struct Connection {
    Descriptor socket;
    ZmtpPeer peer;
    Clock::time_point since;
    std::optional<ZmtpPeer::Request> request;  // not answered yet
    Bytes output;                              // of the protocol
    std::size_t output_sent = 0;
    Bytes reply;
    std::size_t reply_sent = 0;
    bool handed_over = false;
    bool ever_asked = false;
    bool ending = false;   // nothing more is read into requests
    bool refused = false;  // `begins` said no to the last byte
    bool polls_output = false;
  };
  using Connections = std::map<Peer, Connection>;

  RequestServer(const Options& options, Handover handover) : options_(options), handover_(std::move(handover)) {}
  Status listen();
  void accept_all();
  bool receive(Peer id, Connection& connection);  // false: it has gone
  bool send(Peer id, Connection& connection);     // false: it has gone
  bool send_part(Connection& connection, const Bytes& bytes, std::size_t& sent, std::size_t end);
  bool send_last_byte(Peer id, Connection& connection);
  void take_requests(Peer id, Connection& connection);
  void begin_reply(Peer peer, const Bytes& body, bool handed_over);
  void poll_output(Peer id, Connection& connection, bool wanted);
  void wake(Peer id, Connection& connection);
  void drop(Peer id);

  Options options_;
  Handover handover_;
  std::string address_;
  Clock::time_point started_ = Clock::now();
  Descriptor poll_;
  Descriptor listener_;
  Connections connections_;
  std::deque<Peer> asked_;
  Peer next_ = 1;
};

}  // namespace peaknet::live
