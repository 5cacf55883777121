// FileNames: names of the files of one process (cxi/file_name.hpp), whose times grow with their chunks.
//
// What stands for {run} there is output.run_name with its fields put in: {run}, the id; {run_number}, {proposal} and
// {user}, what was said of the run when it began, `unknown` where it was not. Of the user's line the first 32 bytes are
// taken. Where frames carry their source's own name for its run, .{source_run} follows. A character that has no place
// in a file name becomes '-', so no name leads out of the folder; one that would be too long has the id alone.
//
// Threads: one. Errors: none. After a crash: names are of their time, so none comes twice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/config.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::writer {

class FileNames {
 public:
  FileNames(std::filesystem::path folder, const config::Config::Output& output)
      : folder_(std::move(folder)), prefix_(output.file_prefix), run_name_(output.run_name) {}
  std::filesystem::path next(const std::string& run, const shm::RunFacts& facts, const std::string& source_run,
                             std::uint64_t writer, std::int64_t realtime_ns);

 private:
  std::filesystem::path folder_;
  std::string prefix_;
  std::string run_name_;
  std::uint64_t chunk_ = 0;
  std::int64_t last_ns_ = 0;  // the time of the last name
};

}  // namespace peaknet::writer
