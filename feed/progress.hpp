// What people and scripts see of a feed: a line that is redrawn four times a second while it works (on a terminal
// only), and the counts at the end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "feed/tally.hpp"

namespace peaknet::feed {

// Draws on stderr until it is destroyed, then wipes its line. Does nothing where stderr is not a terminal.
class ProgressLine {
 public:
  // `total`: frames that are expected, 0 if nobody knows. The tally must outlive the line.
  ProgressLine(const Tally& tally, std::uint64_t total);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  void draw_until(const std::stop_token& stop, std::uint64_t total) const;
  const Tally& tally_;
  std::jthread thread_;
};

// "[#########-----------]  45 %  2251 of 5000 frames  1203/s  0 refused"
std::string progress_text(const Counts& counts, std::uint64_t total, double frames_per_s);

// "replay: 12 frames committed, 0 refused, 0 failed in 0.34 s (35.3/s)", and what else is not 0.
std::string summary_text(const std::string& mode, const Counts& counts, double seconds);

// {"schema":"peaknet.feed/1","mode":...,"committed":n,"refused":n,"failed":{cause:n},"narrowed":n,
// "pixels_without_count":n,"messages":n,"seconds":s,
// "rate":committed per second}
std::string summary_json(const std::string& mode, const Counts& counts, double seconds);

}  // namespace peaknet::feed
