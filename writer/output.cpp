#include "writer/output.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <utility>

#include "base/text.hpp"
#include "peaknet_version.hpp"
#include "shm/books.hpp"
#include "shm/clock.hpp"
#include "writer/cxi/tables.hpp"

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

// Each file ends with the books as they are then: who reads the file can see what is not in it.
std::vector<std::pair<std::string, std::uint64_t>> named_books(const shm::Books& books) {
  std::vector<std::pair<std::string, std::uint64_t>> named;
  named.emplace_back(name(shm::Counter::committed), books.of_run(shm::Counter::committed));
  for (const shm::Counter outcome : shm::kOutcomes) named.emplace_back(name(outcome), books.of_run(outcome));
  named.emplace_back("in_flight", books.in_flight());
  return named;
}

}  // namespace

std::filesystem::path FileNames::next(const std::string& run, std::uint64_t writer, std::int64_t realtime_ns) {
  const std::time_t seconds = realtime_ns / 1'000'000'000;
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%Y%m%d_%H%M%S", &local);
  const auto padded = [](std::uint64_t value, std::size_t width) {
    std::string digits = std::to_string(value);
    return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
  };
  std::string plain_run = run.empty() ? "unknown" : run;
  std::replace_if(
      plain_run.begin(), plain_run.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '.' && c != '_' && c != '-'; }, '-');
  return folder_ / (prefix_ + "_run" + plain_run + "_" + time.data() + "_" +
                    padded(static_cast<std::uint64_t>(realtime_ns % 1'000'000'000 / 1000), 6) + "_w" +
                    std::to_string(writer) + "_chunk" + padded(chunk_++, 4) + ".cxi");
}

Output::Output(const config::Config& config, shm::Consumer& consumer, FileNames& names, PanelPlacer placer)
    : config_(config),
      consumer_(consumer),
      names_(names),
      config_text_(config::to_yaml(config)),
      host_(host_name()),
      placer_(std::move(placer)) {
  if (auto directory = shm::Directory::open(config.instance, shm::Access::read_only))
    directory_ = std::move(*directory);
}

Output::~Output() = default;

const SlabLayout* Output::slab() {
  const shm::Geometry& geometry = consumer_.geometry();
  if (geometry == slab_for_) return &slab_;
  auto made = placer_.layout(geometry);
  if (!made) {
    note_trouble(made.error());
    return nullptr;
  }
  slab_for_ = geometry;
  slab_ = std::move(*made);
  // What lies between panels is 0 and is never written again.
  slab_pixels_.assign(std::size_t{slab_.height} * slab_.width * size_of(geometry.pixel_type), std::byte{0});
  return &slab_;
}

FileFacts Output::facts(const Event& event) {
  const shm::Geometry& geometry = consumer_.geometry();
  const shm::DirectoryLayout& layout = consumer_.member().layout();
  FileFacts facts;
  facts.instance = config_.instance;
  facts.instance_uuid = layout.header.instance_uuid;
  facts.writer = consumer_.member().number();
  facts.host = host_;
  facts.run = event.key.run;
  facts.created_ns = shm::realtime_ns();
  facts.panels = geometry.panels;
  facts.height = geometry.height;
  facts.width = geometry.width;
  facts.slab = slab_;
  facts.pixel_type = geometry.pixel_type;
  facts.with_images = config_.output.images == config::Images::hits;
  facts.filter =
      config_.output.compression == config::Compression::bitshuffle_lz4 ? Filter::bitshuffle_lz4 : Filter::none;
  facts.with_photon_energy = event.has_photon_energy();
  facts.min_num_peak = config_.peaks.min_num_peak;
  facts.max_num_peak = config_.peaks.max_num_peak;
  facts.centroid = config_.peaks.centroid == config::Centroid::weighted ? "weighted" : "unweighted";
  facts.config = config_text_;
  facts.model = layout.daemon.model.load();
  facts.model_sha256 = layout.daemon.model_sha256.load();
  facts.version = kVersion;
  facts.commit = kGitCommit;
  return facts;
}

bool Output::open(Place& place, const Event& event) {
  const FileFacts made = facts(event);
  const auto path = names_.next(made.run, made.writer, made.created_ns);
  const auto prepare = [&]() -> Status {
    // Looking first makes no half of a pair on a disk that is full anyway.
    const auto free = free_bytes(path.parent_path());
    if (!free) return free.error();
    const std::uint64_t needed = made.image_bytes() + table_bytes(made, 1, event.peaks.size()) + kSpareBytes;
    if (*free < needed) {
      return Error{"output.disk-full",
                   "only " + human_bytes(*free) + " are free in " + path.parent_path().string() +
                       ", a new file needs " + human_bytes(needed),
                   "no frame is lost: they wait in the pool",
                   "free space on that file system; the writer goes on by itself"};
    }
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
    place = std::make_unique<OpenFile>(
        OpenFile{.final_path = path, .ledger = std::move(*ledger), .file = std::move(*file)});
    return {};
  };
  if (auto prepared = prepare(); !prepared) {
    note_trouble(prepared.error());
    return false;
  }
  spdlog::debug("opened {}", path.string());
  return true;
}

std::span<const std::byte> Output::stored_form(const shm::HeldFrame& frame) {
  if (config_.output.images == config::Images::none) return {};
  const shm::Geometry& geometry = frame.geometry();
  std::span<const std::byte> image = frame.image();
  if (!slab_.places.empty()) {
    fill_slab(slab_, geometry.height, geometry.width, size_of(geometry.pixel_type), image, slab_pixels_);
    image = slab_pixels_;
  }
  if (config_.output.compression == config::Compression::none) return image;
  return codec_.compress(image, size_of(geometry.pixel_type));
}

bool Output::write(shm::HeldFrame& frame, Event event, std::span<const std::byte> packed) {
  if (slab() == nullptr) return false;
  if (event.key.run != run_) {
    if (!finish()) return false;
    run_ = event.key.run;
  }
  Place& place = places_[event.has_photon_energy() ? 1 : 0];
  if (!place && !open(place, event)) return false;
  const auto image = packed.empty() ? stored_form(frame) : packed;
  Status room = place->file.make_room(image.size(), event.peaks.size());
  if (room) room = place->ledger.make_room(event.peaks.size());
  if (!room) {
    finish_early(place, room.error());
    return false;
  }
  if (auto added = place->file.append(std::move(event), image); !added) {
    abandon(place, added.error());
    return false;
  }
  if (place->frames.empty()) place->oldest = Clock::now();
  place->frames.push_back(std::move(frame));
  if (place->file.events().size() >= config_.output.events_per_file) finish(place);
  return true;  // the event is in a file, whatever became of that file's end
}

bool Output::make_durable(Place& place) {
  if (!place || place->frames.empty()) return true;
  const auto events = std::span(place->file.events()).subspan(place->durable);
  Status durable = place->file.facts().with_images ? place->file.sync() : Status();
  if (durable) durable = place->ledger.append(events);
  if (!durable) {
    abandon(place, durable.error());
    return false;
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (auto finished = place->frames[i].finish(shm::Counter::written); !finished) {
      spdlog::error("{} is in {}, but its slot was lost: {}", describe(events[i].event.key), place->final_path.string(),
                    finished.error().text());
      continue;
    }
    consumer_.member().count(shm::Counter::peaks, events[i].event.peaks.size());
  }
  place->durable += events.size();
  place->frames.clear();
  return true;
}

bool Output::finish(Place& place) {
  if (!place) return true;
  // The ledger must know all events before the final name appears: then nobody writes one of them again.
  if (!make_durable(place)) return false;
  const auto bytes = place->file.finish(closing());
  Status published = bytes ? publish_name(part_of(place->final_path), place->final_path) : Status(bytes.error());
  if (!published) {
    abandon(place, published.error());
    return false;
  }
  consumer_.member().count(shm::Counter::files);
  consumer_.member().count(shm::Counter::file_bytes, *bytes);
  finished_.push_back(place->final_path);
  spdlog::info("finished {}: {} events, {}", place->final_path.string(), place->durable, human_bytes(*bytes));
  if (auto removed = place->ledger.remove(); !removed) {
    spdlog::warn("{}; the next look for orphans removes it", removed.error().text());
  }
  place.reset();
  return true;
}

// No room for another event. What is in the file can still be finished, with the space that was reserved for that.
void Output::finish_early(Place& place, const Error& error) {
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

void Output::abandon(Place& place, const Error& error) {
  note_trouble(error);
  spdlog::error("{} is given up with {} durable events, which will be recovered; {} frames are held: {}",
                place->final_path.string(), place->durable, place->frames.size(), error.text());
  std::move(place->frames.begin(), place->frames.end(), std::back_inserter(uncertain_));
  place->file.abandon();
  place.reset();
}

Closing Output::closing() const {
  Closing closing;
  if (directory_) closing.books = named_books(shm::read_books(*directory_, &consumer_.member().pool()));
  return closing;
}

BooksThen Output::books() const {
  BooksThen then;
  then.realtime_ns = shm::realtime_ns();
  if (!directory_) return then;
  // Before the totals: what a producer commits in between is in the totals, and its frames are known by it too.
  const shm::DirectoryLayout& layout = directory_->layout();
  for (std::uint32_t id = 1; id < shm::kMaxParticipants; ++id) {
    const shm::ParticipantRecord& record = layout.participants[id];
    const auto committed = static_cast<std::size_t>(shm::Counter::committed);
    const std::uint64_t number = record.number.load(std::memory_order_acquire);
    const std::uint64_t base = record.base[committed].load(std::memory_order_acquire);
    const std::uint64_t count = record.counters[committed].load(std::memory_order_acquire);
    const bool still = record.number.load(std::memory_order_acquire) == number;
    if (number != 0 && still && count > base) then.committed_by.emplace_back(number, count - base);
  }
  const shm::Books books = shm::read_books(*directory_, &consumer_.member().pool());
  then.settled = books.settled;
  then.totals.emplace_back(name(shm::Counter::committed), books.total(shm::Counter::committed));
  for (const shm::Counter outcome : shm::kOutcomes) then.totals.emplace_back(name(outcome), books.total(outcome));
  then.totals.emplace_back("in_flight", books.in_flight());
  return then;
}

bool Output::make_durable() {
  bool all = true;
  for (Place& place : places_) all = make_durable(place) && all;
  return all;
}

bool Output::finish() {
  bool all = true;
  for (Place& place : places_) all = finish(place) && all;
  return all;
}

bool Output::finish_old() {
  bool all = true;
  for (Place& place : places_) {
    if (place && Clock::now() - place->opened >= milliseconds(1000 * config_.output.max_seconds))
      all = finish(place) && all;
  }
  return all;
}

void Output::note_trouble(const Error& error) {
  if (!trouble_) trouble_ = error;
}

std::optional<Error> Output::trouble() { return std::exchange(trouble_, std::nullopt); }

std::vector<std::filesystem::path> Output::take_finished() { return std::exchange(finished_, {}); }

std::vector<shm::HeldFrame> Output::take_uncertain() { return std::exchange(uncertain_, {}); }

std::size_t Output::unreleased() const {
  std::size_t count = 0;
  for (const Place& place : places_) count += place ? place->frames.size() : 0;
  return count;
}

bool Output::durable_due() const {
  return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
    return place && !place->frames.empty() && Clock::now() - place->oldest >= milliseconds(config_.output.durable_ms);
  });
}

std::optional<Clock::time_point> Output::next_due() const {
  std::optional<Clock::time_point> next;
  const auto earlier = [&](Clock::time_point due) { next = next ? std::min(*next, due) : due; };
  for (const Place& place : places_) {
    if (!place) continue;
    earlier(place->opened + milliseconds(1000 * config_.output.max_seconds));
    if (!place->frames.empty()) earlier(place->oldest + milliseconds(config_.output.durable_ms));
  }
  return next;
}

std::string Output::current() const {
  for (const Place& place : places_) {
    if (place) return place->final_path.filename().string();
  }
  return "";
}

}  // namespace peaknet::writer
