// OutcomeLog: the writer's account, on the disk, of the frames that end in no CXI file: which were filtered, which
// failed and which were passed over, by name, and what the counters of the instance said. With the files it is what an
// audit needs to prove that no frame was lost (ctl/files/audit.hpp).
//
//   {prefix}_{YYYYmmdd_HHMMSS_ffffff}_w{writer}.frames    one for each life of a writer; never removed by us
// Byte by byte: docs/formats/records.md.
//
// Invariant I6: a frame's end is in the log before its slot is freed. So the log survives every kill of the writer; a
// power cut may take the ends of the last moments (sync() says until when it is safe), as it takes the shared memory
// with the counters.
//
// Runs of consecutive frames with one end take one entry. Used by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {

inline constexpr std::string_view kOutcomeLogSuffix = ".frames";

// Where a frame ends that does not end in a file, as far as a writer sees it. The numbers are those in the log.
enum class FrameEnd : std::uint32_t { filtered = 1, failed_model = 2, failed_mask = 3, dropped_shed = 4 };
const char* name(FrameEnd end);

// Frames `first`, `first` + 1, ... of one producer.
struct FrameRange {
  FrameEnd end = FrameEnd::filtered;
  std::uint64_t producer = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 1;
  bool operator==(const FrameRange&) const = default;
};

// Of `totals`: those of "in_flight" that waited for the next run, since none was on. Not there while one was.
inline constexpr std::string_view kWaiting = "waiting";

// What the counters of the instance said at one moment. `settled`: the numbers belong to one moment.
struct AccountingSnapshot {
  std::int64_t realtime_ns = 0;
  bool settled = false;
  std::vector<std::pair<std::string, std::uint64_t>> totals;  // of the instance's whole life, by name; "in_flight" too
  // Producers that were attached then or had been the last of their id: how many frames each had committed at least.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> committed_by;
  std::uint64_t total(std::string_view counter) const;  // 0 for one that is not there
  // Rises whenever a frame begins or ends, and never falls: of two copies the one with more is the later, whatever
  // the clocks said.
  std::uint64_t progress() const;
  bool operator==(const AccountingSnapshot&) const = default;
};

struct OutcomeLogFacts {
  std::string instance;
  std::uint64_t instance_uuid = 0;
  std::uint64_t writer = 0;
  std::int64_t created_ns = 0;
  bool operator==(const OutcomeLogFacts&) const = default;
};

class OutcomeLog {
 public:
  // Nothing is made before the first append().
  OutcomeLog(std::filesystem::path folder, std::string prefix, OutcomeLogFacts facts);

  // The frames' ends are in the kernel when it returns ok. On an error none of them counts: try again.
  Status append(std::span<const FrameRange> ends);
  Status append(const AccountingSnapshot& accounting);

  // Everything appended survives a power cut. After an error the log is given up, and what was not safe in it is
  // written into a new one by the next call; at once where its name is gone, as of a file system that was removed.
  Status sync();
  bool unsafe() const { return !unsafe_.empty(); }

 private:
  Status append(std::vector<std::byte> record);
  Status open();
  std::filesystem::path folder_;
  std::string prefix_;
  OutcomeLogFacts facts_;
  PosixFile file_;
  std::uint64_t end_ = 0;
  std::uint64_t reserved_ = 0;
  std::vector<std::byte> unsafe_;  // appended since the last sync()
  int next_ = 0;                   // logs given up
};

struct OutcomeLogContents {
  OutcomeLogFacts facts;
  std::vector<FrameRange> ends;
  std::vector<AccountingSnapshot> accounting;  // in the order of writing
  std::uint64_t damaged_bytes = 0;
  std::uint64_t torn_bytes = 0;
};

// Errors: frame-book.no-header, frame-book.other-version, and those of the disk.
Result<OutcomeLogContents> read_outcome_log(const std::filesystem::path& path);

}  // namespace peaknet::writer
