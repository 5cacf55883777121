#include "cxi/outcome_log.hpp"

#include "cxi/file_name.hpp"

#include <fcntl.h>

#include <algorithm>

#include "cxi/records.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kFormat = 1;
// Kinds of records; those of a ledger are others, so neither is taken for the other.
constexpr std::uint32_t kHeader = 16;
constexpr std::uint32_t kEnds = 17;
constexpr std::uint32_t kAccounting = 18;
constexpr std::uint64_t kReserveStep = std::uint64_t{64} << 10;

std::vector<std::byte> record(std::uint32_t kind, const ByteWriter& payload) {
  ByteWriter out;
  put_record(out, kind, payload.bytes());
  return out.take();
}

std::vector<std::byte> header(const OutcomeLogFacts& facts) {
  ByteWriter out;
  out.put(kFormat);
  out.put_text(facts.instance);
  out.put(facts.instance_uuid);
  out.put(facts.writer);
  out.put(facts.created_ns);
  return record(kHeader, out);
}

bool decode_ends(std::span<const std::byte> payload, std::vector<FrameRange>& ends) {
  ByteReader in(payload);
  std::vector<FrameRange> found(std::min<std::size_t>(in.get<std::uint32_t>(), payload.size()));
  for (auto& range : found) {
    range.end = static_cast<FrameEnd>(in.get<std::uint32_t>());
    range.producer = in.get<std::uint64_t>();
    range.first = in.get<std::uint64_t>();
    range.count = in.get<std::uint64_t>();
  }
  if (!in.ok() || !in.at_end()) return false;
  ends.insert(ends.end(), found.begin(), found.end());
  return true;
}

bool decode_accounting(std::span<const std::byte> payload, std::vector<AccountingSnapshot>& accounting) {
  ByteReader in(payload);
  AccountingSnapshot then;
  then.realtime_ns = in.get<std::int64_t>();
  then.settled = in.get<std::uint8_t>() != 0;
  for (auto count = in.get<std::uint32_t>(); count > 0 && in.ok(); --count) {
    auto text = in.get_text();
    then.totals.emplace_back(std::move(text), in.get<std::uint64_t>());
  }
  for (auto count = in.get<std::uint32_t>(); count > 0 && in.ok(); --count) {
    const auto producer = in.get<std::uint64_t>();
    then.committed_by.emplace_back(producer, in.get<std::uint64_t>());
  }
  if (!in.ok() || !in.at_end()) return false;
  accounting.push_back(std::move(then));
  return true;
}

}  // namespace

const char* name(FrameEnd end) {
  switch (end) {
    case FrameEnd::filtered:
      return "filtered";
    case FrameEnd::failed_model:
      return "failed_model";
    case FrameEnd::failed_mask:
      return "failed_mask";
    case FrameEnd::dropped_shed:
      return "dropped_shed";
  }
  return "unknown";
}

std::uint64_t AccountingSnapshot::total(std::string_view counter) const {
  const auto found = std::ranges::find(totals, counter, &std::pair<std::string, std::uint64_t>::first);
  return found == totals.end() ? 0 : found->second;
}

std::uint64_t AccountingSnapshot::progress() const {
  std::uint64_t sum = 0;
  for (const auto& [counter, value] : totals) sum += counter == "in_flight" || counter == kWaiting ? 0 : value;
  return sum;
}

OutcomeLog::OutcomeLog(std::filesystem::path folder, std::string prefix, OutcomeLogFacts facts)
    : folder_(std::move(folder)), prefix_(std::move(prefix)), facts_(std::move(facts)) {}

Status OutcomeLog::open() {
  if (file_.is_open()) return {};
  const std::string again = next_ == 0 ? "" : "_" + std::to_string(next_);
  const auto path = folder_ / (prefix_ + "_" + file_time(facts_.created_ns) + "_w" + std::to_string(facts_.writer) +
                               again + std::string(kOutcomeLogSuffix));
  auto file = PosixFile::open(path, O_RDWR | O_CREAT | O_EXCL);
  if (!file) {
    // Taken by an earlier try of ours, in a folder that had been moved away meanwhile, or by somebody else.
    if (file.error().id == "output.exists") ++next_;
    return file.error();
  }
  ByteWriter first;
  first.put_bytes(header(facts_));
  first.put_bytes(unsafe_);
  auto ready = file->reserve(0, first.size() + kReserveStep);
  if (ready) ready = file->write_at(0, first.bytes());
  if (ready) ready = file->sync();
  if (ready) ready = sync_folder(folder_);
  if (!ready) {
    if (!remove_name(path)) ++next_;  // its name stays taken; without a header it says nothing
    return ready;
  }
  unsafe_.clear();
  file_ = std::move(*file);
  end_ = first.size();
  reserved_ = end_ + kReserveStep;
  return {};
}

Status OutcomeLog::append(std::vector<std::byte> record) {
  if (auto opened = open(); !opened) return opened;
  if (end_ + record.size() > reserved_) {
    if (auto reserved = file_.reserve(reserved_, end_ + record.size() + kReserveStep); !reserved) return reserved;
    reserved_ = end_ + record.size() + kReserveStep;
  }
  if (auto written = file_.write_at(end_, record); !written) return written;  // half of it is torn: written over next
  end_ += record.size();
  unsafe_.insert(unsafe_.end(), record.begin(), record.end());
  return {};
}

Status OutcomeLog::append(std::span<const FrameRange> ends) {
  std::vector<FrameRange> joined;
  for (const FrameRange& range : ends) {
    FrameRange* last = joined.empty() ? nullptr : &joined.back();
    if (last != nullptr && last->end == range.end && last->producer == range.producer &&
        last->first + last->count == range.first) {
      last->count += range.count;
    } else {
      joined.push_back(range);
    }
  }
  ByteWriter out;
  out.put(static_cast<std::uint32_t>(joined.size()));
  for (const FrameRange& range : joined) {
    out.put(static_cast<std::uint32_t>(range.end));
    out.put(range.producer);
    out.put(range.first);
    out.put(range.count);
  }
  return append(record(kEnds, out));
}

Status OutcomeLog::append(const AccountingSnapshot& accounting) {
  ByteWriter out;
  out.put(accounting.realtime_ns);
  out.put(static_cast<std::uint8_t>(accounting.settled));
  out.put(static_cast<std::uint32_t>(accounting.totals.size()));
  for (const auto& [text, value] : accounting.totals) {
    out.put_text(text);
    out.put(value);
  }
  out.put(static_cast<std::uint32_t>(accounting.committed_by.size()));
  for (const auto& [producer, count] : accounting.committed_by) {
    out.put(producer);
    out.put(count);
  }
  return append(record(kAccounting, out));
}

Status OutcomeLog::sync() {
  if (unsafe_.empty()) return {};
  if (!file_.is_open()) return open();
  auto synced = file_.sync();
  if (synced && file_.is_named(file_.path())) {
    unsafe_.clear();
    return {};
  }
  file_.close();
  if (synced) return open();  // safe where nobody will look: its folder was removed, or another disk is in its place
  ++next_;
  return synced;
}

Result<OutcomeLogContents> read_outcome_log(const std::filesystem::path& path) {
  const auto file = PosixFile::open(path, O_RDONLY);
  if (!file) return file.error();
  const auto size = file->size();
  if (!size) return size.error();
  std::vector<std::byte> bytes(*size);
  if (auto read = file->read_at(0, bytes); !read) return read.error();
  OutcomeLogContents contents;
  const auto first = record_at(bytes);
  if (!first || first->kind != kHeader)
    return Error{"frame-book.no-header", path.string() + " does not begin with a whole header", "", ""};
  ByteReader in(first->payload);
  if (const auto format = in.get<std::uint32_t>(); format != kFormat) {
    return Error{
        "frame-book.other-version",
        path.string() + " has format " + std::to_string(format) + ", this program knows " + std::to_string(kFormat), "",
        "use the peaknetctl of the version that wrote it"};
  }
  contents.facts.instance = in.get_text();
  contents.facts.instance_uuid = in.get<std::uint64_t>();
  contents.facts.writer = in.get<std::uint64_t>();
  contents.facts.created_ns = in.get<std::int64_t>();
  const auto unread = each_record(std::span<const std::byte>(bytes).subspan(first->bytes), [&](const Record& record) {
    if (record.kind == kEnds) return decode_ends(record.payload, contents.ends);
    return record.kind == kAccounting && decode_accounting(record.payload, contents.accounting);
  });
  contents.damaged_bytes = unread.damaged_bytes;
  contents.torn_bytes = unread.torn_bytes;
  return contents;
}

}  // namespace peaknet::writer
