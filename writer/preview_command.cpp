#include "writer/preview_command.hpp"

#include <yaml-cpp/yaml.h>

#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "cxi/reader.hpp"
#include "imaging/detector_view.hpp"
#include "imaging/frame_picture.hpp"
#include "imaging/png_file.hpp"

namespace peaknet::writer {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

std::string energy_text(const ReadEvent& event) {
  if (!event.photon_energy_ev) return "photon energy not known";
  char text[64];
  std::snprintf(text, sizeof text, "photon energy %.1f eV", *event.photon_energy_ev);
  return text;
}

// output.geometry of the configuration in the file; "" where it has none.
std::filesystem::path geometry_of(const CxiReader& file) {
  try {
    const YAML::Node config = YAML::Load(file.config());
    return config["output"]["geometry"].as<std::string>("");
  } catch (const YAML::Exception&) {
    return {};  // a file of another writer
  }
}

}  // namespace

Result<std::filesystem::path> make_preview(const PreviewRequest& request) {
  const auto reader = CxiReader::open(request.file);
  if (!reader) return reader.error();
  const CxiReader& file = reader.value();
  const auto event = file.read(request.event);
  if (!event) return event.error();

  const bool named = !request.geometry.empty();
  auto view =
      view_detector({.geometry = named ? request.geometry : geometry_of(file),
                     .slab = file.slab(),
                     .panel_height = file.panel_height(),
                     .panel_width = file.panel_width(),
                     .beam = {event->photon_energy_ev.value_or(kUnknown), event->encoder_value_mm.value_or(kUnknown)}});
  if (named && view.problem) return *view.problem;

  const std::vector<std::uint8_t> no_data = file.no_data();
  imaging::FrameRequest frame;
  frame.image = {file.has_images() ? event->pixels.data() : nullptr, file.pixel_type(), file.height(), file.width(),
                 no_data.empty() ? nullptr : no_data.data()};
  frame.assembly = std::move(view.assembly);
  frame.diffraction = view.diffraction;
  for (const PeakRow& peak : event->peaks) frame.peaks.push_back({peak.x, peak.y});
  frame.header = {request.file.filename().string(), "event " + std::to_string(request.event) + " of " +
                                                        std::to_string(file.events()) + "   " + event->identifier +
                                                        "   " + std::to_string(event->peaks.size()) + " peaks   " +
                                                        energy_text(*event)};
  if (!view.remark.empty()) frame.header.push_back(view.remark);

  std::filesystem::path out = request.out;
  if (out.empty()) {
    out = request.file;
    out.replace_filename(request.file.stem().string() + "_event" + std::to_string(request.event) + ".png");
  }
  const auto picture = imaging::draw_frame(frame);
  if (!picture) return picture.error();
  if (auto written = imaging::write_png(picture->canvas, out.string()); !written) return written.error();
  return out;
}

}  // namespace peaknet::writer
