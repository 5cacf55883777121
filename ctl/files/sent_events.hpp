// SentEvents: what senders have noted as sent, beside what the finished files of all nodes hold.
//
// A sender's ledger is a text with the number of an event in each line; # begins a remark. The number is the event's
// time as messages and files have it (seconds << 32 | nanoseconds), or its event_id. Senders write it when a message
// has been taken from them, so it also names what was lost between them and a node, of which no node can know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.hpp"

namespace peaknet::writer {

enum class SentBy { time, event_id };

struct SentEvents {
  SentBy by = SentBy::time;
  std::vector<std::uint64_t> numbers;  // each once, sorted: an event in two ledgers is one event
};

// Errors: audit.ledger (a line that is no number, a ledger without an event), those of the disk.
Result<SentEvents> read_sent_events(const std::vector<std::filesystem::path>& ledgers, SentBy by);

struct SentAudit {
  std::uint64_t sent = 0;
  std::uint64_t in_one_file = 0;
  std::vector<std::uint64_t> in_several;  // in two rows or more, of one file or of several
  std::vector<std::uint64_t> in_none;
  std::uint64_t not_in_files = 0;  // frames that nodes committed and that are in no file: filtered, dropped, failed
  std::uint64_t not_in_ledgers = 0;

  // So many of in_none no node has had: frames that are in no file have no number, and may be any of them.
  std::uint64_t not_arrived() const { return in_none.size() > not_in_files ? in_none.size() - not_in_files : 0; }
};

// `found`: the numbers of all rows of all files, in any order; 0 is a row that knows none.
SentAudit compare(const SentEvents& sent, std::vector<std::uint64_t> found);

}  // namespace peaknet::writer
