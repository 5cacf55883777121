#include "ctl/files/audit.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <system_error>

#include "ctl/files/finished_file.hpp"
#include "cxi/ledger.hpp"
#include "cxi/run_master.hpp"

namespace peaknet::writer {
namespace {

// Where the life of a frame ends without its name in a file or a book of ours.
constexpr std::array<const char*, 4> kNamelessEnds = {"dropped_oldest", "failed_descriptor", "failed_quarantined",
                                                      "in_flight"};
constexpr std::size_t kMostNamed = 8;  // spans or frames in one message

// A set of sequences of one producer as spans in order.
class Sequences {
 public:
  void add(std::uint64_t first, std::uint64_t count) {
    if (count > 0 && first <= UINT64_MAX - count) spans_.emplace_back(first, first + count);
  }
  void add(const Sequences& other) { spans_.insert(spans_.end(), other.spans_.begin(), other.spans_.end()); }
  // Begin and end (exclusive), in order, none touching another.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> joined() const {
    auto sorted = spans_;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    for (const auto& [begin, end] : sorted) {
      if (!out.empty() && begin <= out.back().second) {
        out.back().second = std::max(out.back().second, end);
      } else {
        out.emplace_back(begin, end);
      }
    }
    return out;
  }
  std::uint64_t size() const {
    std::uint64_t count = 0;
    for (const auto& [begin, end] : joined()) count += end - begin;
    return count;
  }

 private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> spans_;
};
using Frames = std::map<std::uint64_t, Sequences>;  // by producer

std::uint64_t size_of_all(const Frames& frames) {
  std::uint64_t count = 0;
  for (const auto& [producer, sequences] : frames) count += sequences.size();
  return count;
}

// What the folders say of one instance.
struct Evidence {
  std::string instance;
  std::uint64_t files = 0;
  Frames in_files;
  Frames unfinished;
  std::map<std::string, Frames> ended;
  std::vector<AccountingSnapshot> accounting;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> file_of;  // by producer and sequence
  std::vector<std::string> unfinished_files;
};

class Auditor {
 public:
  Auditor(bool with_images, AuditProgress* progress, const SentEvents* sent)
      : with_images_(with_images), progress_(progress), sent_(sent) {}

  void count_files(const std::filesystem::path& folder) {
    if (progress_ == nullptr) return;
    const auto paths = list(folder);
    if (!paths) return;
    progress_->files += static_cast<std::uint64_t>(
        std::count_if(paths->begin(), paths->end(), [](const auto& path) { return is_event_file(path.string()); }));
  }

  // Writers may be at work meanwhile. What they do between the readings only adds to what is known: the copies of the
  // counters are read before the files, a file's ledger before the file.
  Status read_accounting(const std::filesystem::path& folder) {
    const auto paths = list(folder);
    if (!paths) return paths.error();
    for (const auto& path : *paths) {
      if (path.string().ends_with(kOutcomeLogSuffix)) read_log(path);
    }
    return {};
  }
  Status read_files(const std::filesystem::path& folder) {
    for (const std::string_view kind : {kLedgerSuffix, std::string_view(".cxi"), std::string_view(".lst")}) {
      const auto paths = list(folder);
      if (!paths) return paths.error();
      for (const auto& path : *paths) {
        if (!path.string().ends_with(kind) || path.string().ends_with(kMasterSuffix)) continue;
        if (kind == kLedgerSuffix) read_unfinished(path);
        if (kind == ".cxi") read_file(path);
        if (kind == ".cxi" && progress_ != nullptr) ++progress_->read;
        if (kind == ".lst") check_list(path);
      }
    }
    return {};
  }

  Audit conclude() {
    if (evidence_.empty()) {
      problem({"audit.nothing", "there is neither a finished file nor an outcome log of peaknet-writer", "",
               "name the folder output.dir of the configuration"});
    }
    for (const auto& [uuid, evidence] : evidence_) audit_.instances.push_back(conclude(uuid, evidence));
    if (sent_ != nullptr) compare_with_ledgers();
    return std::move(audit_);
  }

 private:
  static bool is_event_file(const std::string& path) {
    return path.ends_with(".cxi") && !path.ends_with(kMasterSuffix);
  }

  static Result<std::vector<std::filesystem::path>> list(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
         entry.increment(failed)) {
      paths.push_back(entry->path());
    }
    if (failed) {
      Error error = disk_error("list", folder, failed.value());
      error.remedy = "name folders that hold the files of runs: output.dir, and those to which files were moved";
      return error;
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  void problem(Error error) { audit_.problems.push_back(std::move(error)); }

  void read_file(const std::filesystem::path& path) {
    auto file = read_finished_file(path, with_images_);
    if (!file) {
      (file.error().id == "audit.not-ours" ? audit_.notes : audit_.problems).push_back(file.error());
      return;
    }
    Evidence& evidence = evidence_[file->instance_uuid];
    evidence.instance = file->instance;
    ++evidence.files;
    if (sent_ != nullptr) {
      const auto& numbers = sent_->by == SentBy::time ? file->times : file->event_ids;
      numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
    }
    for (const EventKey& key : file->events) {
      const auto [other, first] = evidence.file_of.try_emplace({key.producer, key.producer_seq}, path.string());
      if (!first) {
        problem({"audit.twice", describe(key) + " is in two files: " + other->second + " and " + path.string(), "",
                 "keep one of them; tell us how it came about"});
      }
      evidence.in_files[key.producer].add(key.producer_seq, 1);
    }
    for (const std::size_t row : file->damaged) {
      problem({"audit.damaged-image",
               "the image of " + describe(file->events[row]) + " (event " + std::to_string(row) + " of " +
                   path.string() + ") is not what was written",
               "", "look at the disk (dmesg)"});
    }
    if (file->events_lost > 0) {
      problem({"audit.events-lost",
               path.string() + " was recovered without " + std::to_string(file->events_lost) +
                   " events that had been durable",
               "", "its .damaged pieces are beside it; look at the disk (dmesg)"});
    }
  }

  // The ledger of a file that has its name is only a memory; one beside a .part stands for its events.
  void read_unfinished(const std::filesystem::path& path) {
    const auto final_path = final_of(path);
    std::error_code unknown;
    if (std::filesystem::exists(final_path, unknown)) return;
    const std::filesystem::path part = part_of(final_path);
    if (!std::filesystem::exists(part, unknown) && !std::filesystem::exists(part.string() + ".damaged", unknown))
      return;
    const auto file = PosixFile::open(path, O_RDONLY);
    const auto contents = file ? read_ledger(*file) : Result<LedgerContents>(file.error());
    if (!contents) {
      if (std::filesystem::exists(final_path, unknown) || !std::filesystem::exists(path, unknown)) return;  // just now
      problem(contents.error());
      return;
    }
    Evidence& evidence = evidence_[contents->facts.instance_uuid];
    evidence.instance = contents->facts.instance;
    if (!contents->events.empty()) evidence.unfinished_files.push_back(final_path.string());
    for (const auto& stored : contents->events)
      evidence.unfinished[stored.event.key.producer].add(stored.event.key.producer_seq, 1);
  }

  void read_log(const std::filesystem::path& path) {
    const auto log = read_outcome_log(path);
    if (!log) {
      // A book without a header was never written into.
      (log.error().id == "frame-book.no-header" ? audit_.notes : audit_.problems).push_back(log.error());
      return;
    }
    if (log->damaged_bytes > 0) {
      problem({"audit.damaged-book",
               std::to_string(log->damaged_bytes) + " bytes in the middle of " + path.string() +
                   " are no records: the ends of some frames are not known",
               "", "look at the disk (dmesg)"});
    }
    Evidence& evidence = evidence_[log->facts.instance_uuid];
    evidence.instance = log->facts.instance;
    for (const FrameRange& range : log->ends)
      evidence.ended[name(range.end)][range.producer].add(range.first, range.count);
    evidence.accounting.insert(evidence.accounting.end(), log->accounting.begin(), log->accounting.end());
  }

  void check_list(const std::filesystem::path& path) {
    std::ifstream list(path);
    for (std::string line; std::getline(list, line);) {
      std::error_code unknown;
      // Files may have been moved together with their list.
      const auto beside = path.parent_path() / std::filesystem::path(line).filename();
      if (std::filesystem::exists(line, unknown) || std::filesystem::exists(beside, unknown)) continue;
      audit_.notes.push_back({"audit.list", path.string() + " names " + line + ", which is not there", "",
                              "the next writer that starts here makes the list again"});
    }
  }

  InstanceAudit conclude(std::uint64_t uuid, const Evidence& evidence) {
    InstanceAudit result;
    result.instance = evidence.instance;
    result.uuid = uuid;
    result.files = evidence.files;
    result.in_files = size_of_all(evidence.in_files);
    for (const AccountingSnapshot& then : evidence.accounting) {
      if (then.settled && (!result.accounting || then.progress() >= result.accounting->progress()))
        result.accounting = then;
    }

    Frames known = evidence.in_files;
    const auto add = [&](const Frames& frames) {
      for (const auto& [producer, sequences] : frames) known[producer].add(sequences);
      const std::uint64_t before = known_count_;
      known_count_ = size_of_all(known);
      return known_count_ - before;  // those of which nothing was known yet
    };
    known_count_ = result.in_files;
    result.unfinished = add(evidence.unfinished);
    for (const auto& [end, frames] : evidence.ended) result.ended[end] = add(frames);

    std::map<std::uint64_t, std::uint64_t> end_of;  // by producer: there are no frames beyond, as far as is known
    for (const auto& [producer, sequences] : known) end_of[producer] = sequences.joined().back().second;
    for (const AccountingSnapshot& then : evidence.accounting) {
      for (const auto& [producer, count] : then.committed_by) end_of[producer] = std::max(end_of[producer], count);
    }
    std::uint64_t gaps = 0;
    for (const auto& [producer, end] : end_of) {
      std::uint64_t next = 0;
      auto spans = known[producer].joined();
      spans.emplace_back(end, end);
      for (const auto& [begin, after] : spans) {
        if (begin > next) {
          result.without_end.push_back({producer, next, begin - 1});
          gaps += begin - next;
        }
        next = std::max(next, after);
      }
    }

    result.waiting = std::min(result.total(std::string(kWaiting)), result.total("in_flight"));
    for (const char* end : kNamelessEnds) result.counted += result.total(end);
    const std::uint64_t committed = result.total("committed");
    result.nameless = committed > known_count_ + gaps ? committed - known_count_ - gaps : 0;
    const std::uint64_t without_end = gaps + result.nameless;
    result.missing = without_end > result.counted ? without_end - result.counted : 0;
    explain(result, evidence);
    return result;
  }

  void explain(const InstanceAudit& result, const Evidence& evidence) {
    const std::string of = "of instance '" + result.instance + "'";
    if (!result.accounting) {
      problem(
          {"audit.no-books",
           "no .frames file " + of + " has a copy of the instance's counters: how many frames there were is not known",
           "", "a writer writes one at each stop and when it ends; stop the run, or start a writer and stop it"});
    }
    if (result.missing > 0) {
      std::string names;
      for (std::size_t i = 0; i < std::min(kMostNamed, result.without_end.size()); ++i)
        names += (i == 0 ? "" : ", ") + describe(result.without_end[i]);
      if (result.without_end.size() > kMostNamed) names += ", ...";
      if (result.nameless > 0)
        names += (names.empty() ? "" : ", and ") + std::to_string(result.nameless) + " whose name is not known";
      problem({"audit.missing",
               std::to_string(result.missing) + " frames " + of + " are missing, among these without an end: " + names +
                   "; the counters explain " + std::to_string(result.counted) + " of them",
               "", "peaknetctl errors; was there a power cut, or were files moved away?"});
    }
    const std::uint64_t written = result.total("written");
    if (written > result.in_files + result.unfinished) {
      problem({"audit.written-missing",
               std::to_string(written - result.in_files - result.unfinished) + " frames " + of +
                   " that were reported as written are in no file here",
               "", "name all folders into which this instance wrote"});
    }
    if (result.unfinished > 0) {
      problem({"audit.unfinished",
               std::to_string(result.unfinished) + " frames " + of + " are durable in files that are not finished: " +
                   evidence.unfinished_files.front() + (evidence.unfinished_files.size() > 1 ? ", ..." : ""),
               "nothing is lost", "peaknetctl stop, or start a writer, which recovers what a dead one left"});
    }
    if (const std::uint64_t in_work = result.total("in_flight") - result.waiting; in_work > 0) {
      problem({"audit.in-flight",
               std::to_string(in_work) + " frames " + of + " were not yet processed when the last counters were saved",
               "nothing is lost", "peaknetctl stop, then look again"});
    }
    if (result.waiting > 0) {
      audit_.notes.push_back({"audit.waiting",
                              std::to_string(result.waiting) + " frames " + of +
                                  " waited in shared memory for the next run when the last counters were saved",
                              "they are in no ended run", "peaknetctl start takes them; a reboot would lose them"});
    }
  }

  void compare_with_ledgers() {
    SentAudit& sent = audit_.sent.emplace(compare(*sent_, std::move(numbers_)));
    for (const auto& instance : audit_.instances) {
      const std::uint64_t committed = instance.total("committed"), written = instance.total("written");
      sent.not_in_files += committed > written ? committed - written : 0;
    }
    if (sent.not_arrived() > 0) {
      problem({"audit.not-arrived",
               std::to_string(sent.in_none.size()) + " events of the senders' ledgers are in no file (" +
                   first_of(sent.in_none) + "); nodes have " + std::to_string(sent.not_in_files) +
                   " frames that are in none, so at least " + std::to_string(sent.not_arrived()) + " came to no node",
               "", "were all folders named? What is on its way to a node that ends is lost (docs/scale.md)"});
    }
    if (!sent.in_several.empty()) {
      problem({"audit.sent-twice",
               std::to_string(sent.in_several.size()) +
                   " events of the senders' ledgers are in files more than once (" + first_of(sent.in_several) + ")",
               "", "a sender has sent them again; use one of each"});
    }
    if (sent.not_in_ledgers > 0) {
      audit_.notes.push_back({"audit.not-in-ledgers",
                              std::to_string(sent.not_in_ledgers) + " events in files are in no ledger of a sender", "",
                              "name the ledgers of all senders"});
    }
  }
  static std::string first_of(const std::vector<std::uint64_t>& numbers) {
    std::string text;
    for (std::size_t i = 0; i < std::min(kMostNamed, numbers.size()); ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
    return text + (numbers.size() > kMostNamed ? ", ..." : "");
  }

  bool with_images_;
  AuditProgress* progress_;
  const SentEvents* sent_;
  std::vector<std::uint64_t> numbers_;          // of all rows of all files, as the senders' ledgers name events
  std::map<std::uint64_t, Evidence> evidence_;  // by uuid
  std::uint64_t known_count_ = 0;
  Audit audit_;
};

}  // namespace

std::string describe(const FrameSpan& span) {
  const std::string frames = "producer " + std::to_string(span.producer);
  if (span.first == span.last) return frames + " frame " + std::to_string(span.first);
  return frames + " frames " + std::to_string(span.first) + " to " + std::to_string(span.last);
}

std::uint64_t InstanceAudit::total(const std::string& counter) const {
  return accounting ? accounting->total(counter) : 0;
}

Result<Audit> audit_folders(const std::vector<std::filesystem::path>& named, bool with_images, AuditProgress* progress,
                            const SentEvents* sent) {
  std::set<std::filesystem::path> folders;  // each once, under whatever names
  for (const auto& folder : named) {
    std::error_code unknown;
    const auto canonical = std::filesystem::canonical(folder, unknown);
    folders.insert(unknown ? folder : canonical);
  }
  Auditor auditor(with_images, progress, sent);
  for (const auto& folder : folders) auditor.count_files(folder);
  for (const auto& folder : folders) {
    if (auto read = auditor.read_accounting(folder); !read) return read.error();
  }
  for (const auto& folder : folders) {
    if (auto read = auditor.read_files(folder); !read) return read.error();
  }
  return auditor.conclude();
}

}  // namespace peaknet::writer
