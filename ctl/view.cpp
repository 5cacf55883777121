#include "ctl/view.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>
#include <vector>

#include "ctl/render.hpp"
#include "ctl/show.hpp"
#include "shm/tap.hpp"
#include "writer/peaks/peak_finder.hpp"
#include "writer/preview/png_file.hpp"
#include "writer/preview/preview.hpp"

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

Status draw(const shm::TapFrame& frame, const std::vector<writer::Peak>& peaks, const std::string& instance,
            const std::string& file) {
  std::vector<writer::PreviewPeak> rings;
  for (const auto& peak : peaks) rings.push_back({peak.panel, peak.y, peak.x});
  const shm::Geometry& geometry = frame.geometry;
  const std::vector<std::string> header = {
      instance + "   run " + std::string(frame.descriptor.run_id()) + "   " + frame.descriptor.frame_name(),
      std::to_string(peaks.size()) + " peaks   event " + std::to_string(frame.descriptor.event_id)};
  return writer::write_png(writer::render_preview({frame.image.data(), geometry.pixel_type}, geometry.panels,
                                                  geometry.height, geometry.width, rings, header),
                           file);
}

}  // namespace

ExitCode view(const Options& options, const std::string& instance, const config::Config::Peaks& peaks,
              std::ostream& out, std::ostream& err) {
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
        if (auto drawn = draw(frame, found, instance, file); !drawn)
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
