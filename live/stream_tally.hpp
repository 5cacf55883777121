// StreamTally: what indexamajig made of our hits, read from its stream while it is written: frames, indexed frames,
// crystals and the cell of each run. Frames are joined to their run by `header/str/frame` (--copy-header=frame); those
// without it are counted under "".
//
// Only whole chunks count. A stream that becomes shorter was begun anew, and is counted anew.
//
// Threads: one. Errors: those of the disk; a stream that is not there yet has nothing.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace peaknet::live {

// Mean and standard deviation of numbers that come one by one (Welford).
class Spread {
 public:
  void add(double value);
  void add(const Spread& other);
  std::uint64_t count() const { return count_; }
  double mean() const { return mean_; }
  double deviation() const;  // 0 for fewer than two

 private:
  std::uint64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

struct RunTally {
  std::uint64_t frames = 0;
  std::uint64_t indexed = 0;  // frames with at least one crystal
  std::uint64_t crystals = 0;
  std::array<Spread, 6> cell;  // a, b, c in nm; alpha, beta, gamma in degrees

  void add(const RunTally& other);
};

class StreamTally {
 public:
  explicit StreamTally(std::filesystem::path stream) : path_(std::move(stream)) {}

  // Read what has been added.
  Status look();
  const std::map<std::string, RunTally>& runs() const { return runs_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Chunk {
    std::string run;
    std::uint64_t crystals = 0;
    std::map<std::uint64_t, std::array<double, 6>> cells;  // by crystal
  };
  void take_line(std::string_view line);
  void take_cell(std::string_view line);
  void end_chunk();

  std::filesystem::path path_;
  std::uint64_t read_ = 0;
  std::string rest_;  // a line without its end
  bool in_chunk_ = false;
  Chunk chunk_;
  std::map<std::string, RunTally> runs_;
};

// Of all streams together.
std::map<std::string, RunTally> sum_of(std::span<const StreamTally> streams);

}  // namespace peaknet::live
