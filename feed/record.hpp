// Recorder: messages from ZeroMQ PULL sockets into a Recording, as they are: nothing is decoded, and no peaknetd is
// needed. Only a message of many parts is refused, and counted.
//
// A disk that is full holds the senders back: the message at hand waits until there is room, nothing is received
// meanwhile, and ZeroMQ's high-water marks reach the senders. That state is logged when it begins and when it ends.
// Any other failure of the disk ends the recorder with its error.
//
// At the end, whatever ends it, what ZeroMQ has taken from its senders already is kept too, up to the limits; what the
// limits or the disk do not admit is counted. The limits are looked at before each message: one may cross
// `most_bytes`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/recording.hpp"

namespace peaknet::feed {

struct RecordOptions {
  std::vector<std::string> endpoints;  // see endpoint.hpp
  RecordingOptions recording;
  std::uint64_t most_messages = 0, most_bytes = 0;  // of the whole recording, with what was there before; 0: no limit
  std::chrono::nanoseconds idle{0};                 // end after so long without a message; 0: never
  std::size_t longest = std::size_t{1} << 30;       // bytes of a message
  std::chrono::nanoseconds drain = std::chrono::seconds(1);
  std::chrono::nanoseconds retry = std::chrono::seconds(1);  // of a full disk
};

struct RecordCounts {
  std::uint64_t messages = 0, stored = 0, bytes = 0;  // received; in files; bytes of those
  std::map<std::string, std::uint64_t> failed;        // by cause (Error::id); record.limit: came after the limit
  bool full = false;                                  // the disk is full: waiting for room
};

class PullSocket;

class Recorder {
 public:
  // Errors: those of PullSocket::open and Recording::open.
  static Result<std::unique_ptr<Recorder>> open(const RecordOptions& options);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  const std::vector<std::string>& addresses() const;
  std::string list() const { return recording_->list(); }

  // Serve until the options' end or `stop`. Only once. An error: record.cannot-write, or a full disk at the end.
  std::optional<Error> run(const std::stop_token& stop);
  RecordCounts counts() const;  // any thread

 private:
  explicit Recorder(RecordOptions options);
  bool receive_one(const std::stop_token& stop);
  void store(std::span<const std::byte> message, const std::stop_token& stop);
  void drain();
  bool limited() const;
  void failed(const Error& error);

  const RecordOptions options_;
  std::unique_ptr<PullSocket> socket_;
  std::unique_ptr<Recording> recording_;
  std::optional<Error> error_;
  mutable std::mutex mutex_;
  RecordCounts counts_;
};

// One line for people, and one object for programs.
std::string record_text(const RecordCounts& counts, double seconds);
std::string record_json(const RecordCounts& counts, double seconds);

}  // namespace peaknet::feed
