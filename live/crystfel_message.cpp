#include "live/crystfel_message.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "live/column_values.hpp"

namespace peaknet::live {
namespace {

using nlohmann::json;

template <class From>
std::vector<std::uint8_t> widened(std::span<const std::byte> pixels) {
  const std::size_t count = pixels.size() / sizeof(From);
  std::vector<std::uint8_t> out(count * sizeof(std::int32_t));
  for (std::size_t i = 0; i < count; ++i) {
    From from;
    std::memcpy(&from, pixels.data() + i * sizeof(From), sizeof from);
    const std::int32_t to = from;
    std::memcpy(out.data() + i * sizeof to, &to, sizeof to);
  }
  return out;
}

std::vector<std::uint8_t> as_crystfel(PixelType type, std::span<const std::byte> pixels) {
  if (type == PixelType::uint16) return widened<std::uint16_t>(pixels);
  if (type == PixelType::int16) return widened<std::int16_t>(pixels);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(pixels.data());
  return {bytes, bytes + pixels.size()};
}

// "1700000000.000000123"
std::string seconds_text(std::uint64_t timestamp) {
  const std::string nanoseconds = std::to_string(timestamp & 0xffffffffU);
  return std::to_string(timestamp >> 32) + "." + std::string(nanoseconds.size() < 9 ? 9 - nanoseconds.size() : 0, '0') +
         nanoseconds;
}

json peaks_of(const writer::Event& event) {
  json fs = json::array();
  json ss = json::array();
  json intensity = json::array();
  for (const writer::PeakRow& peak : event.peaks) {
    fs.push_back(static_cast<double>(peak.x));  // floating numbers in JSON stay so in MsgPack, whatever their value
    ss.push_back(static_cast<double>(peak.y));
    intensity.push_back(static_cast<double>(peak.total));
  }
  return {{"fs", std::move(fs)}, {"ss", std::move(ss)}, {"intensity", std::move(intensity)}};
}

}  // namespace

Bytes crystfel_message(const writer::FileFacts& facts, const writer::Event& event, std::span<const std::byte> pixels) {
  json message = json::object();
  message[kImageKey] = {{"type", facts.pixel_type == PixelType::float32 ? "<f4" : "<i4"},
                        {"shape", {facts.slab_height(), facts.slab_width()}},
                        {"data", json::binary(as_crystfel(facts.pixel_type, pixels))}};
  message[kPeaksKey] = peaks_of(event);
  message["frame"] = describe(event.key);
  message["event_id"] = std::to_string(event.event_id);
  message["run"] = event.key.run;
  if (!event.source_run.empty()) message["source_run"] = event.source_run;
  if (event.has_photon_energy()) message[kEnergyKey] = event.photon_energy_ev;
  if (!std::isnan(event.encoder_value)) message[kEncoderKey] = event.encoder_value;
  if (event.fiducial) message["fiducial"] = *event.fiducial;
  if (event.timestamp != 0) message["timestamp"] = seconds_text(event.timestamp);
  add_for_crystfel(message, facts.columns, event.columns);
  Bytes out;
  out.reserve(facts.slab_height() * facts.slab_width() * sizeof(float) + event.peaks.size() * 16 + 1024);
  json::to_msgpack(message, out);
  return out;
}

}  // namespace peaknet::live
