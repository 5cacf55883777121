// SequenceGaps: how many messages never came, of senders that number theirs.
//
// A source counts by one, from anywhere; its numbers may come a little out of order (several sockets, several decoder
// threads): what is missing among the last kSettling numbers counts only at the end. A source whose numbers repeat, or
// fall back by more than kWindow, does not count alone, or not at all (lclstreamer's ranks share a run's name; its main
// branch sends message_id 1 for ever): nothing is said about it then but that. Any thread; memory is bounded.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace peaknet::feed {

class SequenceGaps {
 public:
  static constexpr std::size_t kWindow = 1024, kSettling = 64, kMostSources = 256;

  void saw(const std::string& source, std::uint64_t number);

  struct Known {
    std::uint64_t missing = 0;  // of all sources that count alone
    std::uint64_t unclear = 0;  // sources whose numbers tell nothing
  };
  Known so_far() const { return known(kSettling); }
  Known at_end() const { return known(0); }

 private:
  struct Source {
    std::uint64_t next = 0;     // after the highest number seen
    std::uint64_t holes = 0;    // that have left the window
    std::uint64_t numbers = 0;  // of the window that are in use: those before the first number are no holes
    std::bitset<kWindow> seen;  // bit i: next - 1 - i
    bool unclear = false;
    std::uint64_t missing(std::size_t without) const;
    void add(std::uint64_t number);
  };
  Known known(std::size_t without) const;
  mutable std::mutex mutex_;
  std::map<std::string, Source> sources_;
  Known gone_;  // of sources that were let go for want of room
};

// "{prefix}_r{rank}_{n}.{suffix}" as the source "{prefix}_r{rank}" and the number n; false for other names. With a
// folder or without.
bool numbered_name(const std::string& path, std::string& source, std::uint64_t& number);

}  // namespace peaknet::feed
