#include "writer/output_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log_line.hpp"
#include "base/text.hpp"
#include "cxi/file_name.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/tables.hpp"
#include "peaknet_version.hpp"
#include "shm/clock.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/models.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint64_t kSpareBytes = std::uint64_t{1} << 20;  // beside a file's own needs: its ledger, the folder

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

Clock::duration milliseconds(double value) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(value));
}

// Each file ends with the counters as they are then: who reads the file can see what is not in it.
std::vector<std::pair<std::string, std::uint64_t>> named_counters(const shm::FrameAccounting& accounting) {
  std::vector<std::pair<std::string, std::uint64_t>> named;
  named.emplace_back(name(shm::Counter::committed), accounting.of_run(shm::Counter::committed));
  for (const shm::Counter outcome : shm::kOutcomes) named.emplace_back(name(outcome), accounting.of_run(outcome));
  named.emplace_back("in_flight", accounting.in_flight());
  return named;
}

}  // namespace

OutputFiles::OutputFiles(const config::Config& config, shm::Consumer& consumer, FileNames& names, PanelPlacer placer)
    : config_(config),
      consumer_(consumer),
      names_(names),
      config_text_(config::to_yaml(config)),
      host_(host_name()),
      placer_(std::move(placer)),
      bad_pixels_(config) {
  if (auto control_segment = shm::ControlSegment::open(config.instance, shm::Access::read_only))
    control_segment_ = std::move(*control_segment);
  if (config.output.sums) sums_.emplace(std::filesystem::absolute(config.output.dir), consumer.participant().number());
}

OutputFiles::~OutputFiles() { (void)await_closing(); }  // if it fails, its ledger is an orphan for the next writer

const SlabLayout* OutputFiles::slab() {
  const shm::Geometry& geometry = consumer_.geometry();
  if (geometry == slab_for_) return &slab_;
  auto made = placer_.place(geometry);
  if (!made) {
    note_trouble(made.error());
    return nullptr;
  }
  // Of the frames that the configuration speaks of they were told at the start.
  if (!geometry.same_frames(config_.geometry())) {
    for (const auto& remark : made->remarks) log::warn("{}", remark);
  }
  slab_for_ = geometry;
  slab_ = std::move(made->slab);
  left_out_ = std::move(made->bad);
  return &slab_;
}

std::shared_ptr<const BadMask> OutputFiles::bad_mask(std::uint64_t model) {
  const shm::ModelRecord* record = shm::model_of(consumer_.participant().layout(), model);
  const auto of_model = record != nullptr ? record->bad_pixels.load_whole() : std::nullopt;
  auto found = bad_pixels_.of(consumer_.geometry(), left_out_, of_model);
  if (!found) {
    note_trouble(found.error());
    return nullptr;
  }
  if (found->differs) {
    log::warn("{}", found->differs->text());
    consumer_.participant().record_error(*found->differs);
  }
  return found->mask;
}

FileFacts OutputFiles::facts(const Event& event, std::shared_ptr<const BadMask> bad) {
  const shm::Geometry& geometry = consumer_.geometry();
  const shm::ControlLayout& layout = consumer_.participant().layout();
  FileFacts facts;
  facts.instance = config_.instance;
  facts.instance_uuid = layout.header.instance_uuid;
  facts.writer = consumer_.participant().number();
  facts.host = host_;
  facts.run = event.key.run;
  facts.run_facts = shm::run_facts_of(layout, event.key.run);
  facts.created_ns = shm::realtime_ns();
  facts.panels = geometry.panels;
  facts.height = geometry.height;
  facts.width = geometry.width;
  facts.slab = slab_;
  facts.bad = std::move(bad);
  facts.laboratory = placer_.laboratory();
  facts.pixel_type = geometry.pixel_type;
  facts.with_images = config_.output.images == config::Images::hits;
  facts.with_segmentation = config_.output.segmentation;
  facts.filter =
      config_.output.compression == config::Compression::bitshuffle_lz4 ? Filter::bitshuffle_lz4 : Filter::none;
  facts.with_photon_energy = event.has_photon_energy();
  facts.min_num_peak = config_.peaks.min_num_peak;
  facts.max_num_peak = config_.peaks.max_num_peak;
  facts.centroid = config_.peaks.centroid == config::Centroid::weighted ? "weighted" : "unweighted";
  facts.config = config_text_;
  const shm::ModelRecord* model = shm::model_of(layout, event.model);
  facts.model = model != nullptr ? model->path.load() : layout.daemon.model.load();
  facts.model_sha256 = model != nullptr ? model->sha256.load() : layout.daemon.model_sha256.load();
  facts.version = kVersion;
  facts.commit = kGitCommit;
  facts.columns = consumer_.participant().pool().columns();
  return facts;
}

// Where its file is open or can be opened. Null: trouble().
OutputFiles::Place* OutputFiles::place_for(const Event& event) {
  for (Place& place : places_) {
    if (place && place->source_run == event.source_run &&
        place->file.facts().with_photon_energy == event.has_photon_energy())
      return &place;
  }
  // A free place, else the one whose last event came first.
  Place& place = *std::min_element(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return a && b ? a->last_event < b->last_event : !a && b;
  });
  return begin_finish(place) ? &place : nullptr;
}

// Has another run of a source had an event since?
bool OutputFiles::superseded(const OpenFile& file) const {
  return std::any_of(places_.begin(), places_.end(), [&](const Place& other) {
    return other && other->source_run != file.source_run && other->last_event > file.last_event;
  });
}

Clock::time_point OutputFiles::ends(const OpenFile& file) const {
  const auto old = file.opened + milliseconds(1000 * config_.output.max_seconds);
  return superseded(file) ? std::min(old, file.last_event + kLate) : old;
}

bool OutputFiles::open(Place& place, const Event& event) {
  auto bad = bad_mask(event.model);
  if (!bad) return false;
  const FileFacts made = facts(event, std::move(bad));
  const auto path = names_.next(made.run, made.run_facts, event.source_run, made.writer, made.created_ns);
  const auto prepare = [&]() -> Status {
    // Looking first makes no half of a pair on a disk that is full anyway.
    const auto free = free_bytes(path.parent_path());
    if (!free) return free.error();
    const std::uint64_t needed = made.image_bytes() + (made.with_segmentation ? made.segmentation_bytes() : 0) +
                                 table_bytes(made, 1, event.peaks.size()) + kSpareBytes;
    if (*free < needed) {
      return Error{"output.disk-full",
                   "only " + human_bytes(*free) + " are free in " + path.parent_path().string() +
                       ", a new file needs " + human_bytes(needed),
                   "no frame is lost: they wait in the pool",
                   "free space on that file system; the writer continues by itself"};
    }
    if (auto may = may_grow_to(needed, path); !may) return may;
    auto ledger = Ledger::create(path, made);
    if (!ledger) return ledger.error();
    auto file = CxiFile::create(part_of(path), made);
    auto named = file ? sync_folder(path.parent_path()) : file.error();
    if (!named) {
      if (file) file->abandon();
      (void)remove_name(part_of(path));  // else Recovery removes the empty pair
      (void)ledger->remove();
      return named;
    }
    place = std::make_unique<OpenFile>(OpenFile{.final_path = path,
                                                .stem = parse_file_name(path.filename().string())->stem,
                                                .ledger = std::move(*ledger),
                                                .file = std::move(*file),
                                                .source_run = event.source_run});
    return {};
  };
  if (auto prepared = prepare(); !prepared) {
    note_trouble(prepared.error());
    return false;
  }
  log::debug("opened {}", path.string());
  return true;
}

FrameToStore OutputFiles::to_store(const shm::HeldFrame& frame) const {
  const shm::Geometry& geometry = frame.geometry();
  FrameToStore wanted{.panels = geometry.panels,
                      .height = geometry.height,
                      .width = geometry.width,
                      .pixel_bytes = size_of(geometry.pixel_type),
                      .slab = &slab_};
  if (config_.output.images == config::Images::hits) wanted.pixels = frame.image();
  if (config_.output.segmentation) wanted.mask = frame.mask();
  return wanted;
}

StoredBytes OutputFiles::stored_form(const shm::HeldFrame& frame) {
  StoredBytes bytes = form_.make(to_store(frame));
  if (config_.output.compression == config::Compression::none) return bytes;
  if (!bytes.image.empty()) bytes.image = image_codec_.compress(bytes.image, size_of(frame.geometry().pixel_type));
  if (!bytes.segmentation.empty()) bytes.segmentation = segmentation_codec_.compress(bytes.segmentation, 1);
  return bytes;
}

bool OutputFiles::write(shm::HeldFrame& frame, Event event, std::optional<StoredBytes> packed) {
  note_closed();  // what it says is trouble() and no reason not to write
  if (slab() == nullptr) return false;
  if (event.key.run != run_ || event.model != model_) {
    if (!finish_files()) return false;
    run_ = event.key.run;
    model_ = event.model;
  }
  Place* const found = place_for(event);
  if (found == nullptr || (!*found && !open(*found, event))) return false;
  Place& place = *found;
  const auto [image, segmentation] = packed ? *packed : stored_form(frame);
  Status room = place->file.make_room(image.size() + segmentation.size(), event.peaks.size());
  if (room) room = place->ledger.make_room(event.peaks.size());
  if (!room) {
    finish_early(place, room.error());
    return false;
  }
  if (auto added = place->file.append(std::move(event), image, segmentation); !added) {
    abandon(place, added.error());
    return false;
  }
  place->last_event = Clock::now();
  if (place->frames.empty()) place->oldest = place->last_event;
  place->frames.push_back(std::move(frame));
  if (place->file.events().size() >= config_.output.events_per_file) begin_finish(place);
  return true;  // the event is in a file, whatever became of that file's end
}

bool OutputFiles::make_durable(Place& place) {
  if (!place || place->frames.empty()) return true;
  const auto events = std::span(place->file.events()).subspan(place->durable);
  const FileFacts& facts = place->file.facts();
  Status durable = facts.with_images || facts.with_segmentation ? place->file.sync() : Status();
  if (durable) durable = place->ledger.append(events);
  if (!durable) {
    abandon(place, durable.error());
    return false;
  }
  if (sums_) sums_->add(place->stem, facts, place->frames, events);
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (auto finished = place->frames[i].finish(shm::Counter::written); !finished) {
      log::error("{} is in {}, but its slot was lost: {}", describe(events[i].event.key), place->final_path.string(),
                 finished.error().text());
      continue;
    }
    consumer_.participant().count(shm::Counter::peaks, events[i].event.peaks.size());
  }
  place->durable += events.size();
  place->frames.clear();
  if (!config_.output.keep_cached) place->file.drop_cached();
  return true;
}

// Tables, name and durability of a file whose events are durable already. By one thread, which may be another than the
// one that filled it.
Result<std::uint64_t> OutputFiles::close(OpenFile& open, const Closing& closing) {
  auto bytes = open.file.finish(closing);
  if (!bytes) return bytes;
  if (auto published = publish_name(part_of(open.final_path), open.final_path); !published) return published.error();
  return bytes;
}

// The file at `place` is finished by another thread; the place is free for the next one.
bool OutputFiles::begin_finish(Place& place) {
  if (!place) return true;
  // The ledger must know all events before the final name appears: then nobody writes one of them again.
  if (!make_durable(place)) return false;
  const bool before = await_closing();  // one at a time: the disk would not be faster, and memory is bounded
  ClosingFile next{std::move(place), {}};
  // Where no thread can be had, it is done when it is waited for.
  next.bytes = std::async(std::launch::async | std::launch::deferred,
                          [&open = *next.place, closing = closing()] { return close(open, closing); });
  closing_ = std::move(next);
  return before;
}

// Waits for the file that is being finished. False: it could not be; its events are durable and will be recovered.
bool OutputFiles::await_closing() {
  if (!closing_) return true;
  ClosingFile closed = *std::exchange(closing_, std::nullopt);
  const auto bytes = closed.bytes.get();
  Place& place = closed.place;
  if (!bytes) {
    abandon(place, bytes.error());
    return false;
  }
  consumer_.participant().count(shm::Counter::files);
  consumer_.participant().count(shm::Counter::file_bytes, *bytes);
  finished_.push_back(place->final_path);
  log::info("finished {}: {} events, {}", place->final_path.string(), place->durable, human_bytes(*bytes));
  if (auto removed = place->ledger.remove(); !removed) {
    log::warn("{}; the next look for orphans removes it", removed.error().text());
  }
  return true;
}

// The same, if there is no need to wait.
bool OutputFiles::note_closed() {
  const bool busy = closing_ && closing_->bytes.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
  return busy || await_closing();
}

bool OutputFiles::finish(Place& place) {
  const bool begun = begin_finish(place);
  return await_closing() && begun;
}

// No room for another event. What is in the file can still be finished, with the space that was reserved for that.
void OutputFiles::finish_early(Place& place, const Error& error) {
  note_trouble(error);
  if (!place->file.events().empty()) {
    finish(place);
    return;
  }
  place->file.abandon();
  (void)remove_name(part_of(place->final_path));  // else Recovery removes the empty pair
  (void)place->ledger.remove();
  place.reset();
}

void OutputFiles::abandon(Place& place, const Error& error) {
  note_trouble(error);
  log::error("{} is given up with {} durable events, which will be recovered; {} frames are held: {}",
             place->final_path.string(), place->durable, place->frames.size(), error.text());
  std::move(place->frames.begin(), place->frames.end(), std::back_inserter(uncertain_));
  place->file.abandon();
  place.reset();
}

Closing OutputFiles::closing() const {
  Closing closing;
  if (control_segment_)
    closing.accounting = named_counters(shm::read_accounting(*control_segment_, &consumer_.participant().pool()));
  return closing;
}

AccountingSnapshot OutputFiles::accounting(bool run_is_over) const {
  AccountingSnapshot then;
  then.realtime_ns = shm::realtime_ns();
  if (!control_segment_) return then;
  // Before the totals: what a producer commits in between is in the totals, and its frames are known by it too.
  const shm::ControlLayout& layout = control_segment_->layout();
  for (std::uint32_t id = 1; id < shm::kMaxParticipants; ++id) {
    const shm::ParticipantRecord& record = layout.participants[id];
    const auto committed = static_cast<std::size_t>(shm::Counter::committed);
    const std::uint64_t number = record.number.load(std::memory_order_acquire);
    const std::uint64_t base = record.base[committed].load(std::memory_order_acquire);
    const std::uint64_t count = record.counters[committed].load(std::memory_order_acquire);
    const bool still = record.number.load(std::memory_order_acquire) == number;
    if (number != 0 && still && count > base) then.committed_by.emplace_back(number, count - base);
  }
  const shm::FrameAccounting accounting = shm::read_accounting(*control_segment_, &consumer_.participant().pool());
  then.settled = accounting.settled;
  then.totals.emplace_back(name(shm::Counter::committed), accounting.total(shm::Counter::committed));
  for (const shm::Counter outcome : shm::kOutcomes) then.totals.emplace_back(name(outcome), accounting.total(outcome));
  then.totals.emplace_back("in_flight", accounting.in_flight());
  // A run that has ended has its frames behind it; what waits for a device was committed since, for the next one.
  if (run_is_over || (layout.run.ordinal.load() > 0 && layout.run.ended_ns.load() > 0))
    then.totals.emplace_back(std::string(kWaiting), accounting.slots[static_cast<std::size_t>(shm::SlotState::ready)]);
  return then;
}

bool OutputFiles::make_durable() {
  bool all = true;
  for (Place& place : places_) all = make_durable(place) && all;
  return all;
}

bool OutputFiles::finish_files() {
  bool all = true;
  for (Place& place : places_) all = finish(place) && all;
  return await_closing() && all;
}

bool OutputFiles::finish() {
  const bool all = finish_files();
  if (sums_) sums_->finish();
  return all;
}

bool OutputFiles::finish_old() {
  bool all = note_closed();
  for (Place& place : places_) {
    if (place && Clock::now() >= ends(*place)) all = begin_finish(place) && all;
  }
  if (sums_) sums_->save_due();
  return all;
}

void OutputFiles::note_trouble(const Error& error) {
  if (!trouble_) trouble_ = error;
}

std::optional<Error> OutputFiles::trouble() { return std::exchange(trouble_, std::nullopt); }

std::vector<std::filesystem::path> OutputFiles::take_finished() { return std::exchange(finished_, {}); }

std::vector<shm::HeldFrame> OutputFiles::take_uncertain() { return std::exchange(uncertain_, {}); }

std::size_t OutputFiles::unreleased() const {
  std::size_t count = 0;
  for (const Place& place : places_) count += place ? place->frames.size() : 0;
  return count;
}

bool OutputFiles::durable_due() const {
  return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
    return place && !place->frames.empty() && Clock::now() - place->oldest >= milliseconds(config_.output.durable_ms);
  });
}

std::optional<Clock::time_point> OutputFiles::next_due() const {
  std::optional<Clock::time_point> next;
  const auto earlier = [&](Clock::time_point due) { next = next ? std::min(*next, due) : due; };
  for (const Place& place : places_) {
    if (!place) continue;
    earlier(ends(*place));
    if (!place->frames.empty()) earlier(place->oldest + milliseconds(config_.output.durable_ms));
  }
  if (const auto due = sums_ ? sums_->next_due() : std::nullopt) earlier(*due);
  return next;
}

std::string OutputFiles::current() const {
  const OpenFile* latest = nullptr;
  for (const Place& place : places_) {
    if (place && (latest == nullptr || place->last_event > latest->last_event)) latest = place.get();
  }
  return latest == nullptr ? "" : latest->final_path.filename().string();
}

}  // namespace peaknet::writer
