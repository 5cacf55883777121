// Shedding: what the devices of a node leave out when more frames come than they can process, and when they stop doing
// so. Off unless asked for: then every frame waits, and a full pool holds its producers back.
//
// Levels. Level 0 is the usual; each level keeps what those below it do:
//   hurry         no frame is held back for a fuller batch
//   smaller model batches run on a second model, smaller and loaded since the start, if there is one
//   1 of 2, 4 ... of so many frames one is processed, the others get the result "skipped" at once; up to keep_one_of
//
// It raises the level when the backlog was high at every look for raise_after, and lowers it when it was low at every
// look for lower_after, which is longer; in between nothing changes. The backlog is the part of the slots free for
// producers that waits for a device: waiting / (waiting + free), so slots that are on a device or with a writer do not
// count, and a writer that is behind does not look like a device that is.
//
// All workers share one, so frames are left out evenly whoever takes them. Any thread. It has no clock and no memory
// that outlives the daemon: what was left out is in the results and in the counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace peaknet::engine {

struct SheddingOptions {
  double raise_at = 0.7, lower_at = 0.4;  // parts of the slots
  std::chrono::nanoseconds raise_after{std::chrono::seconds(2)}, lower_after{std::chrono::seconds(10)};
  bool smaller_model = false;     // there is one
  std::uint32_t keep_one_of = 8;  // at the top; 1: no frame is ever left out
};

// What a level asks of a worker.
struct ShedLevel {
  bool hurry = false;
  bool smaller_model = false;
  std::uint32_t keep_one_of = 1;
};

class Shedding {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Shedding(const SheddingOptions& options);

  struct Step {
    std::uint32_t from = 0, to = 0;  // levels
    ShedLevel effort;                // from now on
    double backlog = 0;
  };
  // A worker looks at the queue. The step, if this look made one. `waiting`: frames that a device may take now.
  std::optional<Step> look(Clock::time_point now, std::uint32_t waiting, std::uint32_t free);

  ShedLevel effort() const;
  std::uint32_t level() const;
  std::uint32_t levels() const { return static_cast<std::uint32_t>(efforts_.size()); }

  // A worker took `count` frames and keeps one of `keep_one_of`: how many to leave out before the first that is kept;
  // then every keep_one_of-th is. Of each keep_one_of frames in a row exactly one is kept, over all workers.
  std::uint32_t skip_first(std::uint32_t count, std::uint32_t keep_one_of);

 private:
  SheddingOptions options_;
  std::vector<ShedLevel> efforts_;  // by level
  mutable std::mutex mutex_;        // what follows
  std::uint32_t level_ = 0;
  std::optional<Clock::time_point> high_since_, low_since_;
  std::atomic<std::uint64_t> taken_{0};  // frames that were up for being left out
};

// "one frame of 4 is processed" and the like.
std::string describe(const ShedLevel& effort);

}  // namespace peaknet::engine
