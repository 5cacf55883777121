// Recording: messages as files, for a later replay: {prefix}_r{rank}_{n}.{suffix}, one a message, its bytes as they
// came, as lclstreamer's file handler names them (suffix: npz, h5, cbor, or bin). A file has its name when it is whole.
//
// When each message was received stands in {prefix}_r{rank}.lst, a line "name<TAB>nanoseconds since 1970" after each
// file. That is a list which `peaknet-feed replay` takes: the order, the names and the times in one text that people
// can read, cut and join, and that survives a copy of the folder, which a file's own time often does not. The messages
// themselves stay what the sender made.
//
// A recording that exists is continued: numbers, list and limits go on where they ended; a message whose line a crash
// has kept from the list gets it now, with the time of its file. One thread; nobody else writes files of this prefix
// and rank.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"

namespace peaknet::feed {

struct RecordingOptions {
  std::string prefix;      // path and begin of the names: /data/run12/mfx
  std::uint32_t rank = 0;  // for several recorders in one folder
  bool sync = false;       // each message is on disk before it has its name (fsync); else when the kernel writes it
};

class Recording {
 public:
  // Makes the folder. Errors: record.cannot-write.
  static Result<std::unique_ptr<Recording>> open(const RecordingOptions& options);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // An error: nothing of the message is there. record.no-space (the disk or a quota is full: it may be tried again
  // when there is room), record.cannot-write.
  Status keep(std::span<const std::byte> message, std::int64_t received_ns);
  // All of it to the disk.
  Status flush();

  // With what was there before.
  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }
  std::string list() const { return list_.string(); }

 private:
  explicit Recording(const RecordingOptions& options);
  Status take_up();
  Status append(const std::string& name, std::int64_t received_ns);
  std::string name_of(std::uint64_t number, const std::string& suffix) const;

  RecordingOptions options_;
  std::filesystem::path folder_, list_;
  std::string begin_;  // of the names of all files
  int list_fd_ = -1;
  std::uint64_t next_ = 0, files_ = 0, bytes_ = 0;
};

}  // namespace peaknet::feed
