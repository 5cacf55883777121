// Audit: the proof that no frame was lost, from the files alone: finished CXI files, ledgers of unfinished ones, and
// outcome logs. Needs neither a daemon nor its shared memory, changes nothing, and may run beside writers at work.
//
// A frame is named by its producer's number and its sequence, which counts from 0 without gaps. So every sequence below
// the highest that is known of a producer must be in a file, or in an outcome log as filtered or failed; or the
// counters of the instance, of which the outcome logs have copies, must have counted as many frames dropped, failed or
// still on their way as there are names without an end. What is beyond that is missing, and is named.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "ctl/files/sent_events.hpp"
#include "cxi/outcome_log.hpp"

namespace peaknet::writer {

// Frames `first` to `last` (inclusive) of a producer.
struct FrameSpan {
  std::uint64_t producer = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t count() const { return last - first + 1; }
  bool operator==(const FrameSpan&) const = default;
};
// "producer 3 frames 17 to 19", "producer 3 frame 40"
std::string describe(const FrameSpan& span);

// One instance (one life of its shared memory) in the folders.
struct InstanceAudit {
  std::string instance;
  std::uint64_t uuid = 0;
  std::uint64_t files = 0;       // finished
  std::uint64_t in_files = 0;    // frames
  std::uint64_t unfinished = 0;  // frames durable in files that are not finished: a writer is at it, or will be
  std::map<std::string, std::uint64_t> ended;    // frames that outcome logs name, by their end; in no file
  std::optional<AccountingSnapshot> accounting;  // the last that settled
  std::vector<FrameSpan> without_end;            // names of which no file and no outcome log says where the frame ended
  std::uint64_t nameless = 0;  // committed by the counters, and not even a name is known: last ones of a producer
  std::uint64_t counted = 0;   // frames that the counters have as dropped, failed before a writer, or on their way
  std::uint64_t waiting = 0;   // of these: in no run yet, they waited in shared memory for the next one
  std::uint64_t missing = 0;   // without an end, beyond what the counters explain

  std::uint64_t total(const std::string& counter) const;  // of the counters; 0 without
};

struct Audit {
  std::vector<InstanceAudit> instances;
  std::optional<SentAudit> sent;  // of the senders' ledgers, where they were given
  std::vector<Error> problems;    // each is a reason not to be content
  std::vector<Error> notes;       // worth knowing, no reason

  // Every committed frame of the ended runs ends in exactly one finished file that can be read, or is filtered, dropped
  // or failed with a cause; nothing is unfinished. A detector that goes on sending after the stop is no reason against
  // it: its frames are the next run's, and a note says how many. With ledgers of senders: and each event of theirs is
  // in one file, of whichever node, or may be a frame that a node filtered, dropped or failed.
  bool proved() const { return problems.empty() && !instances.empty(); }
};

// How far it is; the audit writes, any thread reads.
struct AuditProgress {
  std::atomic<std::uint64_t> files{0};  // that there are
  std::atomic<std::uint64_t> read{0};
};

// `folders` of one node or of many. `with_images`: read every image and compare it with its checksum. `sent`: what is
// to be in the files, read before. Errors: those of the disk, for a folder that cannot be listed.
Result<Audit> audit_folders(const std::vector<std::filesystem::path>& folders, bool with_images = true,
                            AuditProgress* progress = nullptr, const SentEvents* sent = nullptr);

}  // namespace peaknet::writer
