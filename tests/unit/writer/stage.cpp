#include "tests/unit/writer/stage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ctl/files/audit.hpp"
#include "cxi/reader.hpp"
#include "cxi/run_master.hpp"
#include "tests/support/child.hpp"
#include "writer/service.hpp"

namespace peaknet::test {
namespace {

struct Spot {
  std::uint32_t panel, y, x;
  bool two_pixels;
};

// Where frame `number` has its peaks: on a grid with a gap between any two, so that they never join.
std::vector<Spot> spots_of(std::uint64_t number, std::uint32_t peaks, const shm::Geometry& geometry) {
  std::vector<Spot> spots;
  const std::uint32_t columns = geometry.width / 4;
  const std::uint32_t rows = geometry.height / 3;
  for (std::uint32_t i = 0; i < peaks; ++i) {
    const std::uint32_t panel = i % geometry.panels;
    const std::uint32_t cell = (i / geometry.panels * 7 + static_cast<std::uint32_t>(number % 5)) % (columns * rows);
    spots.push_back({panel, cell / columns * 3, cell % columns * 4, (i + number) % 3 == 0});
  }
  return spots;
}

}  // namespace

std::vector<std::byte> image_of(std::uint64_t number, const shm::Geometry& geometry) {
  std::vector<std::uint16_t> pixels(geometry.pixels());
  std::uint64_t state = number * 0x9e37'79b9'7f4a'7c15ULL + 99;
  for (auto& pixel : pixels) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    pixel = static_cast<std::uint16_t>(state >> 58);
  }
  std::vector<std::byte> bytes(geometry.image_bytes());
  std::memcpy(bytes.data(), pixels.data(), bytes.size());
  return bytes;
}

Stage::Stage(const shm::Geometry& geometry)
    : geometry_(geometry),
      instance_({.geometry = geometry}),
      producer_(instance_.producer()),
      device_(instance_.consumer(shm::Queue::q1)) {
  instance_.layout().daemon.model.store("builtin:test");
  instance_.layout().daemon.model_sha256.store("0123");
}

config::Config Stage::settings(const std::filesystem::path& folder) const {
  config::Config settings;
  settings.instance = instance_.name();
  settings.output.dir = folder;
  settings.output.events_per_file = 10;
  settings.peaks.min_num_peak = 5;
  settings.peaks.max_num_peak = 30;
  settings.log.level = "warn";
  return settings;
}

bool Stage::commit(const FrameSpec& spec, std::chrono::milliseconds at_most) {
  auto frame = producer_->claim(at_most);
  if (!frame) return false;
  const auto image = image_of(spec.number, producer_->geometry());
  std::copy(image.begin(), image.end(), frame->image().begin());
  frame->info().event_id = spec.number;
  frame->info().timestamp = spec.timestamp;
  if (spec.photon_energy_ev) frame->info().photon_energy_ev = *spec.photon_energy_ev;
  if (spec.fiducial) frame->info().fiducial = *spec.fiducial;
  if (spec.encoder_value) frame->info().encoder_value = *spec.encoder_value;
  if (!spec.source_run.empty()) frame->info().set_source_run(spec.source_run);
  specs_[producer_->committed()] = spec;
  must(frame->commit());
  return true;
}

void Stage::infer(const std::string& run) {
  if (!device_->participant().pool_is_live() && device_->waiting() == 0)
    (void)must(device_->participant().follow_epoch());
  for (auto& frame : device_->take(64, shm::kMaxSequence, run).frames) {
    const auto spec = specs_.extract(frame.descriptor().producer_seq).mapped();
    const shm::Geometry& geometry = frame.geometry();
    auto words = frame.mask();
    std::fill(words.begin(), words.end(), 0);
    const auto set = [&](std::uint32_t panel, std::uint32_t y, std::uint32_t x) {
      words[(std::size_t{panel} * geometry.height + y) * geometry.words_per_row() + x / 64] |= std::uint64_t{1}
                                                                                               << (x % 64);
    };
    for (const Spot& spot : spots_of(spec.number, spec.peaks, geometry)) {
      set(spot.panel, spot.y, spot.x);
      if (spot.two_pixels) set(spot.panel, spot.y, spot.x + 1);
    }
    must(frame.publish(spec.skipped       ? shm::ResultStatus::skipped
                       : spec.model_error ? shm::ResultStatus::error
                                          : shm::ResultStatus::mask));
  }
}

bool Stage::feed(const FrameSpec& spec, std::chrono::milliseconds at_most) {
  if (!commit(spec, at_most)) return false;
  infer(run_);
  return true;
}

void Stage::next_epoch(const shm::Geometry& geometry) {
  instance_.next_epoch(geometry);
  geometry_ = geometry;
}

bool Stage::await_writers(std::size_t writers, std::chrono::milliseconds at_most, std::uint64_t closed_up_to) {
  return eventually(
      [&] {
        device_->participant().recover_dead();  // also takes the dead off the list
        const auto& participants = instance_.layout().participants;
        const auto there =
            std::count_if(participants.begin(), participants.end(), [&](const shm::ParticipantRecord& record) {
              return record.presence.load() == shm::Presence::attached && record.role.load() == shm::Role::writer &&
                     record.closed_generation.load() >= closed_up_to;
            });
        clear_quarantine();  // after the look: frames of a writer that was off the list by then are counted
        return static_cast<std::size_t>(there) == writers;
      },
      at_most);
}

bool Stage::close_files(std::size_t writers, std::chrono::milliseconds at_most) {
  if (!await_writers(writers, at_most)) return false;
  const std::uint64_t generation = instance_.layout().run.close_generation.fetch_add(1) + 1;
  instance_.pool().header().done_event.notify();
  return await_writers(writers, at_most, generation);
}

WriterThread::WriterThread(const config::Config& settings)
    : settings_(settings), thread_([this](std::stop_token stop) {
        try {
          writer::serve(settings_, stop);
        } catch (const std::exception& problem) {
          failure_ = problem.what();
        }
      }) {}

void WriterThread::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::vector<std::filesystem::path> finished_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".cxi") && !name.ends_with(writer::kMasterSuffix)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string audit_problems(const std::filesystem::path& folder) {
  const auto audit = must(writer::audit_folders({folder}));
  std::string text;
  for (const auto& problem : audit.problems) text += problem.text() + "\n";
  return text;
}

std::map<std::string, int> events_in(const std::filesystem::path& folder, const shm::Geometry& geometry,
                                     bool with_images) {
  std::map<std::string, int> count;
  for (const auto& path : finished_files(folder)) {
    const auto reader = writer::CxiReader::open(path);
    if (!reader) {
      ADD_FAILURE() << reader.error().text();
      continue;
    }
    for (std::size_t row = 0; row < reader.value().events(); ++row) {
      const auto event = must(reader.value().read(row));
      ++count[event.identifier];
      const std::uint64_t number = std::stoull(event.identifier.substr(event.identifier.rfind(' ') + 1));
      const auto image = with_images ? image_of(number, geometry) : std::vector<std::byte>(geometry.image_bytes());
      EXPECT_TRUE(event.pixels == image) << "image of " << event.identifier << " in " << path;
      const auto real = image_of(number, geometry);
      const auto* pixels = reinterpret_cast<const std::uint16_t*>(real.data());
      std::size_t right = 0;  // peaks of the file that are peaks of the frame; a spot is at most one of them
      for (const Spot& spot : spots_of(number, 60, geometry)) {
        const std::size_t at = (std::size_t{spot.panel} * geometry.height + spot.y) * geometry.width + spot.x;
        const float sum = static_cast<float>(pixels[at] + (spot.two_pixels ? pixels[at + 1] : 0));
        const float x = static_cast<float>(spot.x) + (spot.two_pixels ? 0.5F : 0.0F);
        const float y = static_cast<float>(spot.panel * geometry.height + spot.y);
        right += std::any_of(event.peaks.begin(), event.peaks.end(),
                             [&](const writer::PeakRow& peak) {
                               return peak.x == x && peak.y == y && peak.total == sum &&
                                      peak.panel == static_cast<float>(spot.panel);
                             })
                     ? 1
                     : 0;
      }
      EXPECT_EQ(right, event.peaks.size()) << "peaks of " << event.identifier << " in " << path;
      if (event.segmentation.empty()) continue;
      float in_peaks = 0;
      for (const auto& peak : event.peaks) {
        in_peaks += peak.n_pixels;
        const auto at = static_cast<std::size_t>(peak.y) * geometry.width + static_cast<std::size_t>(peak.x);
        EXPECT_EQ(event.segmentation[at], 1) << "mask of " << event.identifier << " in " << path;
      }
      const auto set = std::accumulate(event.segmentation.begin(), event.segmentation.end(), std::size_t{0});
      EXPECT_EQ(static_cast<float>(set), in_peaks) << "mask of " << event.identifier << " in " << path;
    }
  }
  return count;
}

}  // namespace peaknet::test
