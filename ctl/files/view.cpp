#include "ctl/files/view.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>
#include <vector>

#include "ctl/document_output.hpp"
#include "ctl/render.hpp"
#include "cxi/placement.hpp"
#include "imaging/detector_view.hpp"
#include "imaging/frame_picture.hpp"
#include "imaging/png_file.hpp"
#include "peaks/peak_finder.hpp"
#include "shm/tap.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLook = 50ms;  // a tap has no event to wait for
constexpr auto kPatience = 10s;

// Nothing: no frame of this pool, or no hit.
std::vector<writer::Peak> peaks_of(const shm::TapFrame& frame, writer::PeakFinder& finder, std::uint32_t fewest) {
  std::vector<writer::Peak> peaks;
  const shm::Geometry& geometry = frame.geometry;
  const shm::FrameDescriptor& descriptor = frame.descriptor;
  if (!descriptor.check(geometry) || frame.mask.size() != geometry.mask_words()) return peaks;
  const writer::MaskView mask{frame.mask.data(),
                              geometry.panels,
                              geometry.height,
                              geometry.width,
                              descriptor.pad_top + descriptor.original_height,
                              descriptor.pad_left + descriptor.original_width};
  const auto search = finder.find(mask, {frame.image.data(), geometry.pixel_type}, peaks);
  if (search.too_many || peaks.size() < fewest) peaks.clear();
  return peaks;
}

json describe(const shm::TapFrame& frame, std::size_t peaks, const std::string& file) {
  const shm::FrameDescriptor& descriptor = frame.descriptor;
  return {{"schema", "peaknet.view/1"},        {"file", file},
          {"run", descriptor.run_id()},        {"producer", descriptor.producer},
          {"number", descriptor.producer_seq}, {"event_id", descriptor.event_id},
          {"sequence", frame.sequence},        {"peaks", peaks}};
}

// Where the frame's panels lie in the image that is shown, and what of it is no data.
struct Shown {
  writer::SlabLayout slab;
  std::vector<std::byte> pixels;  // of the slab; empty where the frame is one as it is
  std::vector<std::uint8_t> no_data;
};

bool is_set(const std::vector<std::uint64_t>& bits, std::size_t words_per_row, std::size_t row, std::uint32_t x) {
  return !bits.empty() && (bits[row * words_per_row + x / 64] >> x % 64 & 1U) != 0;
}

// A geometry that does not fit is no reason for no picture: panels are then as they are in the frame.
Shown lay_out(const shm::TapFrame& frame, const std::string& geometry_file) {
  const shm::Geometry& frames = frame.geometry;
  Shown shown{writer::stacked(frames.panels, frames.height, frames.width), {}, {}};
  std::vector<std::uint64_t> bad;
  if (!geometry_file.empty()) {
    const auto geometry = writer::read_crystfel_geometry(geometry_file);
    auto placed = geometry ? writer::place_panels(*geometry, frames.panels, frames.height, frames.width)
                           : Result<writer::Placement>(geometry.error());
    if (placed) {
      shown.slab = std::move(placed->slab);
      bad = std::move(placed->bad);
    }
  }
  if (!writer::is_stacked(shown.slab, frames.height, frames.width)) {
    const std::size_t bytes = size_of(frames.pixel_type);
    shown.pixels.resize(std::size_t{shown.slab.height} * shown.slab.width * bytes);
    writer::fill_slab(shown.slab, frames.height, frames.width, bytes, frame.image, shown.pixels);
  }
  const shm::FrameDescriptor& of = frame.descriptor;
  shown.no_data.assign(std::size_t{shown.slab.height} * shown.slab.width, 0);
  for (std::uint32_t panel = 0; panel < frames.panels; ++panel) {
    const writer::PanelPlace& target = shown.slab.places[panel];
    for (std::uint32_t y = 0; y < frames.height; ++y) {
      for (std::uint32_t x = 0; x < frames.width; ++x) {
        const bool padding = y < of.pad_top || y >= of.pad_top + of.original_height || x < of.pad_left ||
                             x >= of.pad_left + of.original_width;
        const std::size_t row = std::size_t{panel} * frames.height + y;
        if (padding || is_set(bad, frames.words_per_row(), row, x))
          shown.no_data[(std::size_t{target.y} + y) * shown.slab.width + target.x + x] = 1;
      }
    }
  }
  return shown;
}

Status draw(const shm::TapFrame& frame, const std::vector<writer::Peak>& peaks, const std::string& instance,
            const std::string& geometry_file, const std::string& file) {
  const shm::Geometry& frames = frame.geometry;
  const shm::FrameDescriptor& of = frame.descriptor;
  const Shown shown = lay_out(frame, geometry_file);
  auto view = writer::view_detector({.geometry = geometry_file,
                                     .slab = shown.slab,
                                     .panel_height = frames.height,
                                     .panel_width = frames.width,
                                     .beam = {of.photon_energy_ev, of.encoder_value}});
  imaging::FrameRequest request;
  const void* const pixels = shown.pixels.empty() ? frame.image.data() : shown.pixels.data();
  request.image = {pixels, frames.pixel_type, shown.slab.height, shown.slab.width, shown.no_data.data()};
  request.assembly = std::move(view.assembly);
  request.diffraction = view.diffraction;
  for (const auto& peak : peaks) {
    const writer::PanelPlace& target = shown.slab.places[peak.panel];
    request.peaks.push_back({peak.x + target.x, peak.y + target.y});
  }
  request.header = {instance + "   run " + std::string(of.run_id()) + "   " + of.frame_name(),
                    std::to_string(peaks.size()) + " peaks   event " + std::to_string(of.event_id)};
  if (!view.remark.empty()) request.header.push_back(view.remark);
  const auto picture = imaging::draw_frame(request);
  if (!picture) return picture.error();
  return imaging::write_png(picture->canvas, file);
}

}  // namespace

ExitCode view(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const std::string& instance = target.instance;
  const config::Config::Peaks& peaks = target.peaks;
  auto tap = shm::Tap::open(instance);
  if (!tap) return show_error(tap.error(), options.json, out, err);
  const std::string file = options.png.empty() ? "peaknet_" + instance + ".png" : options.png;
  const auto patience = options.timeout.value_or(kPatience);
  writer::PeakFinder finder;
  shm::TapFrame frame;
  std::uint64_t looked_at = 0;
  for (auto since = Clock::now();;) {
    const auto fresh = (*tap)->latest(frame, shm::Tap::Want::result);
    if (!fresh && fresh.error().id != "tap.overrun") return show_error(fresh.error(), options.json, out, err);
    if (fresh && *fresh) {
      ++looked_at;
      if (const auto found = peaks_of(frame, finder, peaks.min_num_peak); !found.empty()) {
        if (auto drawn = draw(frame, found, instance, target.geometry, file); !drawn)
          return show_error(drawn.error(), options.json, out, err);
        show(options, describe(frame, found.size(), file), render_view, out);
        out.flush();
        if (!options.follow || !out) return ExitCode::ok;
        since = Clock::now();
        std::this_thread::sleep_for(options.every);
        continue;
      }
    }
    if (!options.follow && Clock::now() - since >= patience) {
      return show_error({"view.no-hit",
                         "no frame with " + std::to_string(peaks.min_num_peak) + " peaks or more was seen; looked at " +
                             std::to_string(looked_at) + " results",
                         "no picture was made", "peaknetctl watch: do frames come? A longer --timeout waits longer"},
                        options.json, out, err);
    }
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace peaknet::ctl
