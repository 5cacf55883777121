#include "cxi/ledger.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cxi/bytes.hpp"
#include "cxi/compression.hpp"
#include "cxi/laboratory_bytes.hpp"
#include "cxi/records.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kFormat = 6;
constexpr std::uint32_t kFormatWithoutRunFacts = 5;
constexpr std::uint32_t kFormatWithoutColumns = 4;  // nor a laboratory
constexpr std::uint32_t kFormatWithoutBad = 3;      // of the files before that: no bad pixels either
constexpr std::size_t kReserveStep = std::size_t{256} << 10;
constexpr std::size_t kEventBytes = 512;  // more than an event's record without its peaks

// Kinds of records.
constexpr std::uint32_t kHeader = 1;
constexpr std::uint32_t kEvent = 2;
constexpr std::uint32_t kBadMask = 3;  // behind the header, which is read more often
constexpr std::uint32_t kLaboratory = 4;

std::vector<std::byte> encode(const FileFacts& facts) {
  ByteWriter out;
  out.put(kFormat);
  out.put_text(facts.instance);
  out.put(facts.instance_uuid);
  out.put(facts.writer);
  out.put_text(facts.host);
  out.put_text(facts.run);
  out.put(facts.created_ns);
  out.put(facts.panels);
  out.put(facts.height);
  out.put(facts.width);
  out.put(facts.slab.height);
  out.put(facts.slab.width);
  out.put_all(std::span<const PanelPlace>(facts.slab.places));
  out.put(static_cast<std::uint32_t>(facts.pixel_type));
  out.put(static_cast<std::uint8_t>(facts.with_images));
  out.put(static_cast<std::uint8_t>(facts.with_segmentation));
  out.put(static_cast<std::uint32_t>(facts.filter));
  out.put(static_cast<std::uint8_t>(facts.with_photon_energy));
  out.put(facts.min_num_peak);
  out.put(facts.max_num_peak);
  for (const auto* text :
       {&facts.centroid, &facts.config, &facts.model, &facts.model_sha256, &facts.version, &facts.commit}) {
    out.put_text(*text);
  }
  out.put_all(std::span<const shm::ColumnRecord>(facts.columns.records()));
  out.put(facts.run_facts.number ? std::int64_t{*facts.run_facts.number} : std::int64_t{-1});
  out.put_text(facts.run_facts.proposal);
  out.put_text(facts.run_facts.user);
  return out.take();
}

// Compressed: a bit for each pixel, nearly all of them 0 or in long runs of 1.
std::vector<std::byte> encode(const BadMask& bad) {
  ByteWriter out;
  out.put_text(bad.digest);
  out.put(static_cast<std::uint8_t>(bad.of_model.has_value()));
  out.put_text(bad.of_model.value_or(""));
  out.put(bad.count);
  out.put(std::uint64_t{bad.words.size()});
  BitshuffleLz4 codec;
  if (!bad.words.empty()) out.put_bytes(codec.compress(std::as_bytes(std::span(bad.words)), sizeof(std::uint64_t)));
  return out.take();
}

std::shared_ptr<const BadMask> decode_bad(std::span<const std::byte> payload, const FileFacts& facts) {
  ByteReader in(payload);
  BadMask bad;
  bad.digest = in.get_text();
  const bool known = in.get<std::uint8_t>() != 0;
  bad.of_model = in.get_text();
  if (!known) bad.of_model.reset();
  bad.count = in.get<std::uint64_t>();
  const auto words = in.get<std::uint64_t>();
  if (!in.ok() || (words != 0 && words != facts.mask_words())) return nullptr;
  bad.words.resize(words);
  BitshuffleLz4 codec;
  if (words != 0 && !codec.decompress(in.rest(), sizeof(std::uint64_t), std::as_writable_bytes(std::span(bad.words))))
    return nullptr;
  return std::make_shared<const BadMask>(std::move(bad));
}

shm::RunFacts get_run_facts(ByteReader& in) {
  shm::RunFacts facts;
  if (const auto number = in.get<std::int64_t>(); number >= 0 && number <= shm::kMaxRunNumber)
    facts.number = static_cast<std::uint32_t>(number);
  facts.proposal = in.get_text();
  facts.user = in.get_text();
  return facts;
}

Result<FileFacts> decode_facts(std::span<const std::byte> payload, const std::filesystem::path& path) {
  ByteReader in(payload);
  const auto format = in.get<std::uint32_t>();
  if (format > kFormat || format < kFormatWithoutBad) {
    return Error{"ledger.other-version",
                 path.string() + " has ledger format " + std::to_string(format) + ", this program knows " +
                     std::to_string(kFormatWithoutBad) + " to " + std::to_string(kFormat),
                 "it was not touched", "recover it with the peaknet-writer that wrote it"};
  }
  FileFacts facts;
  facts.instance = in.get_text();
  facts.instance_uuid = in.get<std::uint64_t>();
  facts.writer = in.get<std::uint64_t>();
  facts.host = in.get_text();
  facts.run = in.get_text();
  facts.created_ns = in.get<std::int64_t>();
  facts.panels = in.get<std::uint32_t>();
  facts.height = in.get<std::uint32_t>();
  facts.width = in.get<std::uint32_t>();
  facts.slab.height = in.get<std::uint32_t>();
  facts.slab.width = in.get<std::uint32_t>();
  facts.slab.places = in.get_all<PanelPlace>();
  const auto pixel_type = pixel_type_from(in.get<std::uint32_t>());
  facts.with_images = in.get<std::uint8_t>() != 0;
  facts.with_segmentation = in.get<std::uint8_t>() != 0;
  const auto filter = in.get<std::uint32_t>();
  facts.with_photon_energy = in.get<std::uint8_t>() != 0;
  facts.min_num_peak = in.get<std::uint32_t>();
  facts.max_num_peak = in.get<std::uint32_t>();
  for (auto* text :
       {&facts.centroid, &facts.config, &facts.model, &facts.model_sha256, &facts.version, &facts.commit}) {
    *text = in.get_text();
  }
  auto columns = shm::ColumnTable::from_records(format > kFormatWithoutColumns ? in.get_all<shm::ColumnRecord>()
                                                                               : std::vector<shm::ColumnRecord>{});
  if (format > kFormatWithoutRunFacts) facts.run_facts = get_run_facts(in);
  const bool placed = facts.slab.places.empty() || facts.slab.places.size() == facts.panels;
  if (!in.ok() || !columns || !pixel_type || !placed || filter > static_cast<std::uint32_t>(Filter::bitshuffle_lz4)) {
    return Error{"ledger.no-header", "the header of " + path.string() + " makes no sense", "it was not touched", ""};
  }
  // Until their records are read; one that is damaged leaves them so.
  if (format > kFormatWithoutBad) facts.bad = std::make_shared<const BadMask>(BadMask{.digest = "unknown"});
  facts.laboratory.unknown = "the ledger of this file does not say it";
  facts.pixel_type = *pixel_type;
  facts.filter = static_cast<Filter>(filter);
  facts.columns = std::move(*columns);
  return facts;
}

// What follows the chunks is the row of the columns, as long as the header's table says.
std::vector<std::byte> encode(const StoredEvent& stored) {
  const Event& event = stored.event;
  ByteWriter out;
  out.put_text(event.key.run);
  out.put(event.key.producer);
  out.put(event.key.producer_seq);
  out.put(event.event_id);
  out.put(event.timestamp);
  out.put(event.photon_energy_ev);
  out.put(event.fiducial ? std::int64_t{*event.fiducial} : std::int64_t{-1});
  out.put(event.encoder_value);
  out.put_text(event.source_run);
  for (const std::uint32_t value :
       {event.flags, event.original_height, event.original_width, event.pad_top, event.pad_left}) {
    out.put(value);
  }
  out.put_all(std::span<const PeakRow>(event.peaks));
  for (const auto* chunk : {&stored.image, &stored.segmentation}) {
    out.put(static_cast<std::uint8_t>(chunk->has_value()));
    if (!*chunk) continue;
    out.put((*chunk)->address);
    out.put((*chunk)->size);
    out.put((*chunk)->checksum);
  }
  out.put_bytes(event.columns);
  return out.take();
}

std::optional<StoredEvent> decode_event(std::span<const std::byte> payload, std::size_t row_bytes) {
  ByteReader in(payload);
  StoredEvent stored;
  Event& event = stored.event;
  event.key.run = in.get_text();
  event.key.producer = in.get<std::uint64_t>();
  event.key.producer_seq = in.get<std::uint64_t>();
  event.event_id = in.get<std::uint64_t>();
  event.timestamp = in.get<std::uint64_t>();
  event.photon_energy_ev = in.get<double>();
  if (const auto fiducial = in.get<std::int64_t>(); fiducial >= 0)
    event.fiducial = static_cast<std::uint32_t>(fiducial);
  event.encoder_value = in.get<double>();
  event.source_run = in.get_text();
  for (auto* value : {&event.flags, &event.original_height, &event.original_width, &event.pad_top, &event.pad_left}) {
    *value = in.get<std::uint32_t>();
  }
  event.peaks = in.get_all<PeakRow>();
  for (auto* chunk : {&stored.image, &stored.segmentation}) {
    if (in.get<std::uint8_t>() == 0) continue;
    chunk->emplace();
    (*chunk)->address = in.get<std::uint64_t>();
    (*chunk)->size = in.get<std::uint64_t>();
    (*chunk)->checksum = in.get<std::uint32_t>();
  }
  if (!in.ok() || in.rest().size() != row_bytes) return std::nullopt;
  event.columns.assign(in.rest().begin(), in.rest().end());
  return stored;
}

// What follows the header, which itself is passed over.
Unread take_records(std::span<const std::byte> bytes, FileFacts& facts, std::vector<StoredEvent>& events) {
  return each_record(bytes, [&](const Record& record) {
    if (record.kind == kHeader) return true;
    if (record.kind == kBadMask) {
      const auto bad = decode_bad(record.payload, facts);
      if (bad) facts.bad = bad;
      return bad != nullptr;
    }
    if (record.kind == kLaboratory) {
      auto laboratory = decode_laboratory(record.payload);
      if (laboratory) facts.laboratory = std::move(*laboratory);
      return laboratory.has_value();
    }
    auto event = record.kind == kEvent ? decode_event(record.payload, facts.columns.row_bytes()) : std::nullopt;
    if (event) events.push_back(std::move(*event));
    return event.has_value();
  });
}

Error no_header(const std::filesystem::path& path) {
  return {"ledger.no-header", path.string() + " does not begin with a whole header", "", ""};
}

Result<std::vector<std::byte>> read_begin(const PosixFile& file, std::uint64_t at_most) {
  const auto size = file.size();
  if (!size) return size.error();
  std::vector<std::byte> bytes(std::min(*size, at_most));
  if (auto read = file.read_at(0, bytes); !read) return read.error();
  return bytes;
}

}  // namespace

std::filesystem::path ledger_of(const std::filesystem::path& final_path) {
  return final_path.string() + std::string(kLedgerSuffix);
}
std::filesystem::path part_of(const std::filesystem::path& final_path) {
  return final_path.string() + std::string(kPartSuffix);
}
std::filesystem::path final_of(const std::filesystem::path& ledger_path) {
  const std::string name = ledger_path.string();
  return name.substr(0, name.size() - kLedgerSuffix.size());
}

Result<Ledger> Ledger::create(const std::filesystem::path& final_path, const FileFacts& facts) {
  // Under another name until it is locked: nobody may take it for an orphan in between.
  const std::filesystem::path path = ledger_of(final_path);
  const std::filesystem::path unlocked = path.string() + ".new";
  auto file = PosixFile::open(unlocked, O_RDWR | O_CREAT | O_EXCL);
  if (!file) return file.error();
  const auto prepare = [&]() -> Status {
    const auto locked = file->try_lock();
    if (!locked) return locked.error();
    if (!*locked) return Error{"output.exists", unlocked.string() + " was locked by another process at once", "", ""};
    ByteWriter header;
    put_record(header, kHeader, encode(facts));
    put_record(header, kBadMask, encode(*facts.bad));
    put_record(header, kLaboratory, encode(facts.laboratory));
    if (auto written = file->write_at(0, header.bytes()); !written) return written.error();
    if (auto synced = file->sync(); !synced) return synced.error();
    return publish_name(unlocked, path);
  };
  if (auto prepared = prepare(); !prepared) {
    // A name that cannot be removed either is that of an empty ledger: Recovery removes it.
    for (const auto& name : {unlocked, path}) {
      if (file->is_named(name)) (void)remove_name(name);
    }
    return prepared.error();
  }
  const auto size = file->size();
  if (!size) return size.error();
  file->renamed(path);
  Ledger ledger(std::move(*file));
  ledger.end_ = ledger.reserved_ = *size;
  ledger.row_bytes_ = facts.columns.row_bytes();
  return ledger;
}

Status Ledger::make_room(std::size_t peaks) {
  const std::uint64_t needed = reserved_for_ + kRecordPreamble + kEventBytes + row_bytes_ + peaks * sizeof(PeakRow);
  if (end_ + needed > reserved_) {
    auto reserved = file_.reserve(reserved_, end_ + needed + kReserveStep);
    if (reserved) {
      reserved_ = end_ + needed + kReserveStep;
    } else {
      reserved = file_.reserve(reserved_, end_ + needed);
      if (!reserved) return reserved;
      reserved_ = end_ + needed;
    }
  }
  reserved_for_ = needed;
  return {};
}

Status Ledger::append(std::span<const StoredEvent> events) {
  ByteWriter out;
  for (const auto& event : events) put_record(out, kEvent, encode(event));
  if (auto written = file_.write_at(end_, out.bytes()); !written) return written;
  if (auto synced = file_.sync(); !synced) return synced;
  end_ += out.size();
  reserved_for_ = 0;
  return {};
}

Status Ledger::remove() {
  auto removed = remove_name(file_.path());
  if (removed) file_.close();
  return removed;
}

Result<FileFacts> read_ledger_header(const PosixFile& file) {
  auto bytes = read_begin(file, std::uint64_t{1} << 20);  // the header holds a configuration: some kilobytes
  if (!bytes) return bytes.error();
  const auto record = record_at(*bytes);
  if (!record || record->kind != kHeader) return no_header(file.path());
  return decode_facts(record->payload, file.path());
}

Result<LedgerContents> read_ledger(const PosixFile& file) {
  auto bytes = read_begin(file, UINT64_MAX);
  if (!bytes) return bytes.error();
  const std::span<const std::byte> rest(*bytes);
  const auto header = record_at(rest);
  if (!header || header->kind != kHeader) return no_header(file.path());
  auto facts = decode_facts(header->payload, file.path());
  if (!facts) return facts.error();
  LedgerContents contents;
  contents.facts = std::move(*facts);
  const auto unread = take_records(rest.subspan(header->bytes), contents.facts, contents.events);
  contents.damaged_bytes = unread.damaged_bytes;
  contents.torn_bytes = unread.torn_bytes;
  return contents;
}

Result<LedgerTail> LedgerTail::open(const std::filesystem::path& ledger_path) {
  auto file = PosixFile::open(ledger_path, O_RDONLY);
  if (!file) return file.error();
  auto facts = read_ledger_header(*file);
  if (!facts) return facts.error();
  return LedgerTail(std::move(*file), std::move(*facts));
}

Result<std::vector<StoredEvent>> LedgerTail::more() {
  std::vector<StoredEvent> events;
  const auto size = file_.size();
  if (!size) return size.error();
  if (*size <= read_) return events;
  std::vector<std::byte> bytes(*size - read_);
  if (auto read = file_.read_at(read_, bytes); !read) return read.error();
  read_ += bytes.size() - take_records(bytes, facts_, events).torn_bytes;
  return events;
}

}  // namespace peaknet::writer
