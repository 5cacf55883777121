#include "ctl/files/view.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>
#include <vector>

#include "ctl/document_output.hpp"
#include "ctl/files/hit_picture.hpp"
#include "ctl/render.hpp"
#include "imaging/png_file.hpp"
#include "shm/tap.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLook = 50ms;  // a tap has no event to wait for
constexpr auto kPatience = 10s;

json describe(const shm::TapFrame& frame, std::size_t peaks, const std::string& file) {
  const shm::FrameDescriptor& descriptor = frame.descriptor;
  return {{"schema", "peaknet.view/1"},        {"file", file},
          {"run", descriptor.run_id()},        {"producer", descriptor.producer},
          {"number", descriptor.producer_seq}, {"event_id", descriptor.event_id},
          {"sequence", frame.sequence},        {"peaks", peaks}};
}

Status draw(const HitPictures& pictures, const shm::TapFrame& frame, const std::vector<writer::PeakRow>& peaks,
            const std::string& instance, const std::string& file) {
  const shm::FrameDescriptor& of = frame.descriptor;
  const auto picture = pictures.draw(frame, peaks,
                                     {instance + "   run " + std::string(of.run_id()) + "   " + of.frame_name(),
                                      std::to_string(peaks.size()) + " peaks   event " + std::to_string(of.event_id)});
  if (!picture) return picture.error();
  return imaging::write_png(picture->canvas, file);
}

}  // namespace

ExitCode view(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  auto tap = shm::Tap::open(target.instance);
  if (!tap) return show_error(tap.error(), options.json, out, err);
  const std::string file = options.png.empty() ? "peaknet_" + target.instance + ".png" : options.png;
  const auto patience = options.timeout.value_or(kPatience);
  const PictureSettings settings = picture_settings(options, target);
  if (!settings.remark.empty()) err << "warning: " << settings.remark << '\n';
  HitPictures pictures(settings);
  shm::TapFrame frame;
  std::uint64_t looked_at = 0;
  for (auto since = Clock::now();;) {
    const auto fresh = (*tap)->latest(frame, shm::Tap::Want::result);
    if (!fresh && fresh.error().id != "tap.overrun") return show_error(fresh.error(), options.json, out, err);
    if (fresh && *fresh) {
      ++looked_at;
      if (const auto peaks = pictures.peaks_of(frame)) {
        if (auto drawn = draw(pictures, frame, *peaks, target.instance, file); !drawn)
          return show_error(drawn.error(), options.json, out, err);
        show(options, describe(frame, peaks->size(), file), render_view, out);
        out.flush();
        if (!options.follow || !out) return ExitCode::ok;
        since = Clock::now();
        std::this_thread::sleep_for(options.every);
        continue;
      }
    }
    if (!options.follow && Clock::now() - since >= patience) {
      return show_error({"view.no-hit",
                         "no frame with " + std::to_string(settings.config.peaks.min_num_peak) +
                             " peaks or more was seen; looked at " + std::to_string(looked_at) + " results",
                         "no picture was made", "peaknetctl watch: do frames come? A longer --timeout waits longer"},
                        options.json, out, err);
    }
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace peaknet::ctl
