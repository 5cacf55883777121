// Listener: messages from ZeroMQ PULL sockets, decoded into the pool.
//
// The thread that calls `run` receives; one decoder thread per producer unpacks messages and delivers their events. The
// decoders are made before the sockets are, and so before ZeroMQ's threads: they make processes (see Sandbox).
// Between them is a short queue: where the pool is full and its policy is to wait, decoders wait, the queue fills,
// nothing is received any more, and ZeroMQ's high-water marks hold the senders. Memory is bounded by the queue, not by
// the stream.
//
// A message that cannot be used is counted by cause, logged (ThrottledLog) and noted in the instance, where peaknetctl
// errors shows it, and the next one is served. In the FeedCounters, `failed` has one for each message that could not be
// opened and one for each event that could not be taken from a message. A RejectedMessages keeps such messages, if
// there is one.
//
// If the process is killed, what it had received and not handled is counted all the same: the instance's control
// segment has the number (messages_lost, see shm::Participant::add_unhandled_messages), and whoever recovers the slots
// reads it.
//
// A sender's end of run (Simplon) ends this only where that is asked for, and only after a silence: other ranks of the
// sender may still have images of that run on their way.
//
// Every end drains: what ZeroMQ has received already is still delivered, for `drain` at most (a sender may go on),
// after a stop also until `now`. What was received and is left then is counted as failed{feed.stopped}.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/feed_counters.hpp"
#include "feed/rejected_messages.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

struct ListenOptions {
  std::vector<std::string> endpoints;  // see endpoint.hpp
  std::uint64_t count = 0;  // end after so many events (the message that has the last one is finished); 0: never
  std::chrono::nanoseconds idle{0};  // end after so long without a message; 0: never
  bool end_with_run = false;         // end when a sender has ended its run and nothing came for `settle`
  std::chrono::nanoseconds settle = std::chrono::seconds(1);
  std::string quarantine = {};                    // a folder for messages that cannot be used; empty: they are not kept
  std::span<const std::uint8_t> bad_pixels = {};  // of preprocess.bad_pixels, see SlotView; must outlive the listener
  std::chrono::nanoseconds drain = std::chrono::seconds(5);
  std::chrono::nanoseconds patience = std::chrono::seconds(30);  // without any message, before the log says so
};

class PullSocket;

class Listener {
 public:
  // Opens the sockets: from here on senders may connect, and what they send waits.
  // Errors: config.bad-value (an entry that is no endpoint), listen.cannot-open, quarantine.folder.
  static Result<std::unique_ptr<Listener>> open(const ListenOptions& options, Decoders decoders);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // The addresses as they are, with the port where "*" was asked for, in the order of the options.
  std::vector<std::string> addresses() const;

  // What was opened, for people: "listening on tcp://0.0.0.0:12321".
  std::vector<std::string> opened() const;

  // Serve until the options' end, or `stop`. At least one producer, and a decoder for each. Only once.
  // An error: there is no pool any more (see Delivery::no_pool).
  std::optional<Error> run(std::span<const std::unique_ptr<shm::Producer>> producers, FeedCounters& tally,
                           const std::stop_token& stop, const std::stop_token& now);

 private:
  class Session;
  Listener(ListenOptions options, Decoders decoders);
  ListenOptions options_;
  Decoders decoders_;
  std::unique_ptr<PullSocket> socket_;
  std::unique_ptr<RejectedMessages> quarantine_;
};

}  // namespace peaknet::feed
