// FinishedFile: what an audit reads of a finished CXI file: whose events it holds, and whether all of it can be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cxi/event.hpp"

namespace peaknet::writer {

struct FinishedFile {
  std::string instance;
  std::uint64_t instance_uuid = 0;
  std::vector<EventKey> events;
  std::vector<std::uint64_t> times;      // of each event, seconds << 32 | nanoseconds; 0: not known
  std::vector<std::uint64_t> event_ids;  // of each event
  std::uint64_t events_lost = 0;         // that were durable and could not be read when the file was recovered
  std::vector<std::size_t> damaged;  // rows whose image or mask is not what was written, or whose peaks cannot be read
};

// Opens the file and reads all of it; `with_images`: also every image and mask, compared with its checksum. Errors:
// audit.not-readable, audit.not-ours (a file that says nothing of its frames).
Result<FinishedFile> read_finished_file(const std::filesystem::path& path, bool with_images);

}  // namespace peaknet::writer
