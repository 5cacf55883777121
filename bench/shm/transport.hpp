// A way to hand frames from processes to processes, as the benchmark sees it: ours and its peers behind one interface.
//
// A frame is `bytes` bytes, of which the producer copies every one: filling is part of the work. It goes round 64 MiB
// of images (frames of a KiB and more), for those of a detector are new each time and in no cache. The first eight
// bytes of the frame are then overwritten with a stamp, the last thing before it is handed over. The consumer reads
// first and last word, and lets the frame go.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace peaknet::bench {

struct Plan {
  std::string transport = "peaknet";
  std::string name;  // of what the processes share; not used by another run at the same time
  std::size_t bytes = std::size_t{1} << 20;
  std::uint32_t producers = 1;
  std::uint32_t consumers = 1;
  std::uint32_t slots = 16;  // frames that may wait, for every transport
};

inline constexpr std::int64_t kNothing = -1;

// Made in the process that uses it, by one thread. Both functions may wait some milliseconds; false and kNothing mean
// "not yet".
struct SendClient {
  std::function<bool()> send;
};
struct ReceiveClient {
  std::function<std::int64_t(bool spin)> receive;  // the stamp; `spin`: look once, without sleeping
};

class Transport {
 public:
  // What all processes share, made before they are forked. Throws for a name that is not known.
  static std::unique_ptr<Transport> make(const Plan& plan);
  virtual ~Transport() = default;
  virtual SendClient producer(std::uint32_t index) = 0;
  virtual ReceiveClient consumer(std::uint32_t index) = 0;
  // What stands between producers and consumers, where somebody does: takes a frame and passes it on.
  virtual ReceiveClient relay(std::uint32_t index);
};
const std::vector<std::string>& transports();

std::int64_t now_ns();  // CLOCK_MONOTONIC

}  // namespace peaknet::bench
