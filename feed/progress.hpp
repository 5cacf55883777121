// What people and scripts see of a feed: a line while it works, and the counts at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "feed/feed_counters.hpp"

namespace peaknet::feed {

// The line of a feed at work, for a ProgressLine (base/progress_line.hpp). `total`: frames that are expected, 0 if
// nobody knows. The tally must outlive what is returned.
std::function<std::string()> progress_of(const FeedCounters& tally, std::uint64_t total);

// "[#########-----------]  45 %  2251 of 5000 frames  1203/s  0 refused"
std::string progress_text(const Counts& counts, std::uint64_t total, double frames_per_s);

// "replay: 12 frames committed, 0 refused, 0 failed in 0.34 s (35.3/s)", and what else is not 0.
std::string summary_text(const std::string& mode, const Counts& counts, double seconds);

// {"schema":"peaknet.feed/1","mode":...,"committed":n,"refused":n,"failed":{cause:n},"narrowed":n,
// "pixels_without_count":n,"messages":n,"seconds":s,
// "rate":committed per second}
std::string summary_json(const std::string& mode, const Counts& counts, double seconds);

}  // namespace peaknet::feed
