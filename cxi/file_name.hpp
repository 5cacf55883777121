// Names of the writer's files: {prefix}_run{run}_chunk{NNNN}_{YYYYmmdd_HHMMSS_ffffff}_w{writer}.cxi, the time in UTC.
// Made and read here alone, so that no zone and no daylight saving changes a name or an order.
//
// Files of versions before had {time}_w{writer}_chunk{NNNN} and a local time; they are still known.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace peaknet::writer {

struct FileName {
  std::string stem;  // {prefix}_run{run}: what the files of one run have in common
  std::string time;  // YYYYmmdd_HHMMSS_ffffff
  std::uint64_t writer = 0;
  std::uint64_t chunk = 0;  // of its process, from 0

  std::string text() const;
};

// Nothing for any other name.
std::optional<FileName> parse_file_name(std::string_view name);

// By time, then writer, then chunk; names that are not ours come first.
struct EarlierFile {
  bool operator()(const std::string& a, const std::string& b) const;
};
using FilesInTime = std::set<std::string, EarlierFile>;

// YYYYmmdd_HHMMSS_ffffff in UTC, for a time of CLOCK_REALTIME: sorted as text it is sorted by time.
std::string file_time(std::int64_t realtime_ns);

}  // namespace peaknet::writer
