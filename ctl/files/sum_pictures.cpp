#include "ctl/files/sum_pictures.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <system_error>
#include <utility>

#include "config/run_name.hpp"
#include "ctl/instance_view.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLook = 2s;  // writers put them down no more often
constexpr std::uint32_t kSide = 800;

std::filesystem::file_time_type changed(const std::filesystem::path& file) {
  std::error_code gone;
  const auto at = std::filesystem::last_write_time(file, gone);
  return gone ? std::filesystem::file_time_type::min() : at;
}

std::filesystem::file_time_type newest(const std::vector<std::filesystem::path>& files) {
  auto latest = std::filesystem::file_time_type::min();
  for (const auto& file : files) latest = std::max(latest, changed(file));
  return latest;
}

// The energy and distance of the newest frame, for the rings.
writer::EventBeam beam_of(const std::string& instance) {
  shm::TapFrame frame;
  const auto tap = shm::Tap::open(instance);
  const auto seen = tap ? (*tap)->latest(frame, shm::Tap::Want::frame) : Result<bool>(tap.error());
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  if (!seen || !*seen) return {kUnknown, kUnknown};
  return {frame.descriptor.photon_energy_ev, frame.descriptor.encoder_value};
}

// Rows from the lowest intensity on, up to the last one that has a peak.
json rows_of(const writer::Peakogram& peakogram) {
  constexpr std::size_t kColumns = writer::Peakogram::kColumns;
  json rows = json::array(), empty = json::array();
  for (auto row = peakogram.counts.begin(); row != peakogram.counts.end(); row += kColumns) {
    const json counts(std::vector<std::uint32_t>(row, row + kColumns));
    const bool any = std::any_of(row, row + kColumns, [](std::uint32_t count) { return count > 0; });
    empty.push_back(counts);
    if (any) rows.insert(rows.end(), empty.begin(), empty.end());
    if (any) empty.clear();
  }
  return rows;
}

json peakogram_document(const writer::RunSums& sums, const std::string& run) {
  const writer::Peakogram& peakogram = sums.peakogram;
  return {{"schema", "peaknet.peakogram/1"},
          {"run", run},
          {"hits", peakogram.hits},
          {"of_hits", sums.hits},
          {"lacks", peakogram.lacks.empty() ? json(nullptr) : json(peakogram.lacks)},
          {"inverse_angstrom_per_column", writer::Peakogram::kColumn},
          {"rows_per_octave", writer::Peakogram::kRowsPerOctave},
          {"counts", peakogram.hits > 0 ? rows_of(peakogram) : json(nullptr)}};
}

}  // namespace

void SumPictures::follow(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any asked;
  std::unique_lock lock(mutex);
  do {
    look();
  } while (!asked.wait_for(lock, stop, kLook, [&] { return stop.stop_requested(); }));
}

// Where a source has runs of its own within the run: those of the one that was written last.
SumPictures::Files SumPictures::newest_files(const std::string& run) const {
  const auto& output = settings_.config.output;
  const config::StemsOfRun wanted(output.file_prefix, output.run_name, run);
  Files found;
  for (auto& [stem, files] : writer::sums_by_stem(output.dir)) {
    if (wanted.has(stem) && (found.empty() || newest(files) > newest(found))) found = files;
  }
  return found;
}

void SumPictures::look() {
  const auto opened = InstanceView::open(instance_);
  if (!opened || opened->pool == nullptr) return;
  const std::string run = opened->control_segment->layout().run.id.load();
  const Files files = newest_files(run);
  const auto at = newest(files);
  if (files.empty() || (files == seen_ && seen_at_ == at)) return;
  const auto sums = writer::read_sums_of(files);
  if (!sums || !*sums) return;  // one is just going away, or is not ours
  seen_ = files;
  seen_at_ = at;
  draw(**sums, run, opened->pool->geometry());
}

void SumPictures::draw(const writer::RunSums& sums, const std::string& run, const shm::Geometry& frames) {
  const std::vector<float> powder(sums.powder.begin(), sums.powder.end());
  const std::vector<float> sum(sums.sum.begin(), sums.sum.end());
  const auto beam = beam_of(instance_);
  decltype(png_) fresh;
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const auto& values = i == 0 ? powder : i == 1 ? sum : sums.maximum;
    const auto picture = pictures_.draw_slab(frames, {sums.height, sums.width, values}, beam, kSide);
    if (picture) fresh[i] = std::make_shared<const std::string>(png_of(picture->canvas));
  }
  auto peakogram = std::make_shared<const std::string>(peakogram_document(sums, run).dump());
  const std::lock_guard guard(mutex_);
  png_ = std::move(fresh);
  peakogram_.swap(peakogram);
  about_ = {{"id", ++id_},
            {"run", run},
            {"hits", sums.hits},
            {"summed", sums.summed},
            {"last", std::round(static_cast<double>(sums.last_ns) * 1e-6) / 1e3}};
}

json SumPictures::about() const {
  const std::lock_guard guard(mutex_);
  return about_;
}

std::shared_ptr<const std::string> SumPictures::peakogram() const {
  const std::lock_guard guard(mutex_);
  return peakogram_;
}

std::shared_ptr<const std::string> SumPictures::picture(std::string_view kind, std::uint64_t id) const {
  const auto found = std::find(kKinds.begin(), kKinds.end(), kind);
  const std::lock_guard guard(mutex_);
  if (found == kKinds.end() || (id != 0 && id != id_)) return nullptr;
  return png_[static_cast<std::size_t>(found - kKinds.begin())];
}

}  // namespace peaknet::ctl
