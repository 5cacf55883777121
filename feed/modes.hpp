// The modes of peaknet-feed: each brings its frames into the pool, or into files, until they end or it is stopped, and
// returns why it ended before its time.
//
// One thread runs one mode; a mode makes the threads that it needs and ends them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/signal_watch.hpp"
#include "config/config.hpp"
#include "feed/arguments.hpp"
#include "feed/bad_pixels.hpp"
#include "feed/feed_counters.hpp"
#include "feed/hdf5_rehearsal.hpp"
#include "feed/listen.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

inline constexpr const char* kProgram = "peaknet-feed";

// The signals as stop tokens: the first asks to finish cleanly, the second to do so at once.
class Stops {
 public:
  explicit Stops(StopSignal& signal)
      : watch_(signal, [this](int) {
          if (!stop_.request_stop()) now_.request_stop();
        }) {}
  std::stop_token stop() const { return stop_.get_token(); }
  std::stop_token now() const { return now_.get_token(); }

 private:
  std::stop_source stop_, now_;
  SignalWatch watch_;  // last: it uses the others
};

// A failure that ends the program after its counts were printed.
struct Ending {
  Error error;
  int exit_code;
};

using Producers = std::vector<std::unique_ptr<shm::Producer>>;

std::chrono::nanoseconds seconds(double value);

// What was made before there were threads: they have processes of their own.
struct Readers {
  Decoders decoders;
  std::unique_ptr<Hdf5Rehearsal> rehearsal;  // for replay alone
};

// Exit code 65: a file or a frame cannot be taken; 69: the pool has gone.
std::optional<Ending> replay(const ReplayArguments& arguments, const config::Config& config,
                             const BadPixels& bad_pixels, Readers readers, const Producers& producers,
                             FeedCounters& tally, const Stops& stops);
std::optional<Ending> simulate(const SimulateArguments& arguments, const Producers& producers, FeedCounters& tally,
                               const Stops& stops);
// Until `stop`, or at once at `now`.
std::optional<Ending> listen(const ListenArguments& arguments, const config::Config& config,
                             const BadPixels& bad_pixels, Decoders decoders, const Producers& producers,
                             FeedCounters& tally, const std::stop_token& stop, const std::stop_token& now);
// Listens to a stream that it asks a service for, and gives it back at the end (feed/request.cpp).
std::optional<Ending> request(const RequestArguments& arguments, const config::Config& config,
                              const BadPixels& bad_pixels, Decoders decoders, const Producers& producers,
                              FeedCounters& tally, const Stops& stops);
// The exit code. Throws Fatal where nothing can be recorded. No pool and no peaknetd: it only writes files.
int record(const RecordArguments& arguments, const config::Config& config, bool json, const Stops& stops);

}  // namespace peaknet::feed
