#include "ctl/files/view.hpp"

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/document_output.hpp"
#include "ctl/instance_config.hpp"
#include "ctl/render.hpp"
#include "cxi/placement.hpp"
#include "imaging/detector_view.hpp"
#include "imaging/frame_picture.hpp"
#include "imaging/png_file.hpp"
#include "shm/tap.hpp"
#include "writer/bad_pixels.hpp"
#include "writer/event_builder.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLook = 50ms;  // a tap has no event to wait for
constexpr auto kPatience = 10s;

// What is shown of frames, and by what a hit is one.
struct Settings {
  config::Config config;    // its defaults, where it is not known
  std::string remark = {};  // what is not known
};

Settings settings_of(const Options& options, const Target& target) {
  auto config = config_of(options, target);
  if (config) return {std::move(*config)};
  return {{},
          "the configuration of " + target.instance + " is not known (" + config.error().id +
              "): no geometry, no bad pixels, hits as by default; --config FILE tells"};
}

json describe(const shm::TapFrame& frame, std::size_t peaks, const std::string& file) {
  const shm::FrameDescriptor& descriptor = frame.descriptor;
  return {{"schema", "peaknet.view/1"},        {"file", file},
          {"run", descriptor.run_id()},        {"producer", descriptor.producer},
          {"number", descriptor.producer_seq}, {"event_id", descriptor.event_id},
          {"sequence", frame.sequence},        {"peaks", peaks}};
}

// Where the frame's panels lie in the image that is shown, and what of it is no data.
struct Layout {
  writer::SlabLayout slab;
  std::shared_ptr<const writer::BadMask> bad;
  std::string remark;  // what could not be used
};
struct Shown {
  std::vector<std::byte> pixels;  // of the slab; empty where the frame is one as it is
  std::vector<std::uint8_t> no_data;
};

// What does not fit is no reason for no picture: panels are then as they are in the frame, pixels all good.
Layout lay_out(const shm::Geometry& frames, const std::string& geometry_file, writer::BadPixels& bad_pixels) {
  Layout layout{writer::stacked(frames.panels, frames.height, frames.width), nullptr, ""};
  std::vector<std::uint64_t> left_out;
  if (!geometry_file.empty()) {
    const auto geometry = writer::read_crystfel_geometry(geometry_file);
    auto placed = geometry ? writer::place_panels(*geometry, frames.panels, frames.height, frames.width)
                           : Result<writer::Placement>(geometry.error());
    if (placed) {
      layout.slab = std::move(placed->slab);
      left_out = std::move(placed->bad);
    }
  }
  const auto found = bad_pixels.of(frames, left_out, std::nullopt);
  if (found) {
    layout.bad = found->mask;
  } else {
    layout.bad = std::make_shared<writer::BadMask>(writer::BadMask{.words = std::move(left_out)});
    layout.remark = "preprocess.bad_pixels cannot be used (" + found.error().id + "): they are shown, and may be peaks";
  }
  return layout;
}

bool is_set(const std::vector<std::uint64_t>& bits, std::size_t words_per_row, std::size_t row, std::uint32_t x) {
  return !bits.empty() && (bits[row * words_per_row + x / 64] >> x % 64 & 1U) != 0;
}

Shown pixels_of(const shm::TapFrame& frame, const Layout& layout) {
  const shm::Geometry& frames = frame.geometry;
  Shown shown;
  if (!writer::is_stacked(layout.slab, frames.height, frames.width)) {
    const std::size_t bytes = size_of(frames.pixel_type);
    shown.pixels.resize(std::size_t{layout.slab.height} * layout.slab.width * bytes);
    writer::fill_slab(layout.slab, frames.height, frames.width, bytes, frame.image, shown.pixels);
  }
  const shm::FrameDescriptor& of = frame.descriptor;
  shown.no_data.assign(std::size_t{layout.slab.height} * layout.slab.width, 0);
  for (std::uint32_t panel = 0; panel < frames.panels; ++panel) {
    const writer::PanelPlace& target = layout.slab.places[panel];
    for (std::uint32_t y = 0; y < frames.height; ++y) {
      for (std::uint32_t x = 0; x < frames.width; ++x) {
        const bool padding = y < of.pad_top || y >= of.pad_top + of.original_height || x < of.pad_left ||
                             x >= of.pad_left + of.original_width;
        const std::size_t row = std::size_t{panel} * frames.height + y;
        if (padding || is_set(layout.bad->words, frames.words_per_row(), row, x))
          shown.no_data[(std::size_t{target.y} + y) * layout.slab.width + target.x + x] = 1;
      }
    }
  }
  return shown;
}

struct Hit {
  const shm::TapFrame& frame;
  const std::vector<writer::PeakRow>& peaks;
};

Status draw(const Hit& hit, const Layout& layout, const Settings& settings, const std::string& instance,
            const std::string& file) {
  const shm::Geometry& frames = hit.frame.geometry;
  const shm::FrameDescriptor& of = hit.frame.descriptor;
  const Shown shown = pixels_of(hit.frame, layout);
  auto view = writer::view_detector({.geometry = settings.config.output.geometry,
                                     .slab = layout.slab,
                                     .panel_height = frames.height,
                                     .panel_width = frames.width,
                                     .beam = {of.photon_energy_ev, of.encoder_value}});
  imaging::FrameRequest request;
  const void* const pixels = shown.pixels.empty() ? hit.frame.image.data() : shown.pixels.data();
  request.image = {pixels, frames.pixel_type, layout.slab.height, layout.slab.width, shown.no_data.data()};
  request.assembly = std::move(view.assembly);
  request.diffraction = view.diffraction;
  for (const auto& peak : hit.peaks) request.peaks.push_back({peak.x, peak.y});
  request.header = {instance + "   run " + std::string(of.run_id()) + "   " + of.frame_name(),
                    std::to_string(hit.peaks.size()) + " peaks   event " + std::to_string(of.event_id)};
  for (const std::string* remark : {&settings.remark, &view.remark, &layout.remark}) {
    if (!remark->empty()) request.header.push_back(*remark);
  }
  const auto picture = imaging::draw_frame(request);
  if (!picture) return picture.error();
  return imaging::write_png(picture->canvas, file);
}

// The writer's own judgement. Nothing: a frame of a pool that has gone, or no hit.
std::optional<writer::Verdict> hit_in(const shm::TapFrame& frame, const Layout& layout, writer::Examiner& examiner) {
  if (!frame.descriptor.check(frame.geometry) || frame.mask.size() != frame.geometry.mask_words()) return std::nullopt;
  auto verdict =
      examiner.examine({frame.descriptor, frame.geometry, frame.mask, frame.image.data()}, layout.slab, *layout.bad);
  if (verdict.outcome) return std::nullopt;
  return verdict;
}

}  // namespace

ExitCode view(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  auto tap = shm::Tap::open(target.instance);
  if (!tap) return show_error(tap.error(), options.json, out, err);
  const std::string file = options.png.empty() ? "peaknet_" + target.instance + ".png" : options.png;
  const auto patience = options.timeout.value_or(kPatience);
  const Settings settings = settings_of(options, target);
  if (!settings.remark.empty()) err << "warning: " << settings.remark << '\n';
  const auto& peaks = settings.config.peaks;
  writer::Examiner examiner(peaks);
  writer::BadPixels bad_pixels(settings.config);
  shm::TapFrame frame;
  Layout layout;
  shm::Geometry laid_out;
  std::uint64_t looked_at = 0;
  for (auto since = Clock::now();;) {
    const auto fresh = (*tap)->latest(frame, shm::Tap::Want::result);
    if (!fresh && fresh.error().id != "tap.overrun") return show_error(fresh.error(), options.json, out, err);
    if (fresh && *fresh) {
      ++looked_at;
      if (!frame.geometry.same_frames(laid_out)) {
        layout = lay_out(frame.geometry, settings.config.output.geometry, bad_pixels);
        laid_out = frame.geometry;
      }
      if (const auto hit = hit_in(frame, layout, examiner)) {
        if (auto drawn = draw({frame, hit->event.peaks}, layout, settings, target.instance, file); !drawn)
          return show_error(drawn.error(), options.json, out, err);
        show(options, describe(frame, hit->event.peaks.size(), file), render_view, out);
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
