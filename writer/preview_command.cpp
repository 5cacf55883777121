#include "writer/preview_command.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "writer/cxi/reader.hpp"
#include "writer/preview/png_file.hpp"
#include "writer/preview/preview.hpp"

namespace peaknet::writer {

Result<std::string> write_preview(const PreviewRequest& request) {
  auto reader = CxiReader::open(request.file);
  if (!reader) return reader.error();
  auto event = reader->read(request.event);
  if (!event) return event.error();

  std::vector<PreviewPeak> peaks;
  for (const PeakRow& peak : event->peaks) peaks.push_back({0, peak.y, peak.x});
  std::string facts = std::to_string(peaks.size()) + " peaks";
  if (event->photon_energy_ev) {
    std::array<char, 32> energy{};
    std::snprintf(energy.data(), energy.size(), ", %.1f eV", *event->photon_energy_ev);
    facts += energy.data();
  }
  const std::vector<std::string> header = {
      std::filesystem::path(request.file).filename().string() + "  event " + std::to_string(request.event) + " of " + std::to_string(reader->events()),
      event->identifier + (event->identifier.empty() ? "" : "  ") + facts};
  const auto picture = render_preview({event->pixels.data(), reader->pixel_type()}, 1, reader->height(), reader->width(), peaks, header);
  const std::string out = request.out.empty() ? request.file + "." + std::to_string(request.event) + ".png" : request.out;
  if (auto written = write_png(picture, out); !written) return written.error();
  return out;
}

}  // namespace peaknet::writer
