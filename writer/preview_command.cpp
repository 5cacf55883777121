#include "writer/preview_command.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "writer/cxi/reader.hpp"
#include "writer/preview/png_file.hpp"
#include "writer/preview/preview.hpp"

namespace peaknet::writer {
namespace {

std::string energy_text(const ReadEvent& event) {
  if (!event.photon_energy_ev) return "photon energy not known";
  char text[64];
  std::snprintf(text, sizeof text, "photon energy %.1f eV", *event.photon_energy_ev);
  return text;
}

}  // namespace

Result<std::filesystem::path> make_preview(const PreviewRequest& request) {
  const auto reader = CxiReader::open(request.file);
  if (!reader) return reader.error();
  const CxiReader& file = reader.value();
  const auto event = file.read(request.event);
  if (!event) return event.error();

  const std::uint32_t height = file.height() / file.panels();
  std::vector<PreviewPeak> peaks;
  for (const PeakRow& peak : event.value().peaks) {
    const double row = std::clamp(std::floor((peak.y + 0.5) / height), 0.0, static_cast<double>(file.panels() - 1));
    peaks.push_back({.panel = static_cast<std::uint32_t>(row), .y = peak.y - row * height, .x = peak.x});
  }
  const std::vector<std::string> header = {
      request.file.filename().string() + "   event " + std::to_string(request.event) + " of " +
          std::to_string(file.events()),
      event.value().identifier + "   " + std::to_string(peaks.size()) + " peaks   " + energy_text(event.value())};
  const ImageView image{file.has_images() ? event.value().pixels.data() : nullptr, file.pixel_type()};

  std::filesystem::path out = request.out;
  if (out.empty()) {
    out = request.file;
    out.replace_filename(request.file.stem().string() + "_event" + std::to_string(request.event) + ".png");
  }
  const auto picture = render_preview(image, file.panels(), height, file.width(), peaks, header);
  if (auto written = write_png(picture, out.string()); !written) return written.error();
  return out;
}

}  // namespace peaknet::writer
