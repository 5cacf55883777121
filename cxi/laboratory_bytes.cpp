#include "cxi/laboratory_bytes.hpp"

#include <cmath>
#include <cstdio>
#include <limits>

#include "cxi/bytes.hpp"
#include "cxi/checksum.hpp"

namespace peaknet::writer {
namespace {

constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

std::optional<double> number(double value) { return std::isnan(value) ? std::nullopt : std::optional(value); }

void put(ByteWriter& out, const LaboratoryPanel& panel) {
  out.put_text(panel.name);
  for (const std::uint32_t value : {panel.y, panel.x, panel.height, panel.width}) out.put(value);
  for (const Vector3* vector : {&panel.corner, &panel.column, &panel.row}) {
    for (const double value : *vector) out.put(value);
  }
}

LaboratoryPanel get_panel(ByteReader& in) {
  LaboratoryPanel panel;
  panel.name = in.get_text();
  for (std::uint32_t* value : {&panel.y, &panel.x, &panel.height, &panel.width}) *value = in.get<std::uint32_t>();
  for (Vector3* vector : {&panel.corner, &panel.column, &panel.row}) {
    for (double& value : *vector) value = in.get<double>();
  }
  return panel;
}

}  // namespace

std::vector<std::byte> encode(const Laboratory& laboratory) {
  ByteWriter out;
  out.put_text(laboratory.unknown);
  out.put(laboratory.length.metres.value_or(kNotKnown));
  out.put_text(laboratory.length.dataset);
  out.put(laboratory.length.dataset_unit);
  out.put(laboratory.length.offset);
  out.put(laboratory.photon_energy_ev.value_or(kNotKnown));
  out.put_text(laboratory.sensor.material);
  out.put(laboratory.sensor.thickness);
  out.put(static_cast<std::uint32_t>(laboratory.panels.size()));
  for (const LaboratoryPanel& panel : laboratory.panels) put(out, panel);
  return out.take();
}

std::optional<Laboratory> decode_laboratory(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Laboratory laboratory;
  laboratory.unknown = in.get_text();
  laboratory.length.metres = number(in.get<double>());
  laboratory.length.dataset = in.get_text();
  laboratory.length.dataset_unit = in.get<double>();
  laboratory.length.offset = in.get<double>();
  laboratory.photon_energy_ev = number(in.get<double>());
  laboratory.sensor.material = in.get_text();
  laboratory.sensor.thickness = in.get<double>();
  const auto panels = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < panels && in.ok(); ++i) laboratory.panels.push_back(get_panel(in));
  if (!in.ok() || !in.at_end()) return std::nullopt;
  return laboratory;
}

std::string digest_of(const Laboratory& laboratory) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", checksum(encode(laboratory)));
  return text.data();
}

}  // namespace peaknet::writer
