#include "cxi/nexus.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/photon.hpp"
#include "base/text.hpp"
#include "cxi/laboratory_bytes.hpp"
#include "cxi/tables.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kUnknownName = "unknown";
constexpr const char* kEnd = ".";  // of a chain of transformations

// "module_07_p1a3": in order of the file for readers that sort by name. A name of NeXus has letters, digits and "_".
std::string module_name(std::size_t index, std::size_t count, std::string name) {
  const std::string number = std::to_string(index);
  const std::size_t digits = std::to_string(count - 1).size();
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c > 127 || std::isalnum(c) == 0; }, '_');
  return "module_" + std::string(digits - number.size(), '0') + number + "_" + name;
}

double length_of(const Vector3& vector) { return std::hypot(vector[0], vector[1], vector[2]); }

// A translation by `step`: its length along its direction.
void write_translation(NexusWriter& out, const std::string& name, const Vector3& step, const std::string& depends_on) {
  const double length = length_of(step);
  const Vector3 along = length > 0 ? Vector3{step[0] / length, step[1] / length, step[2] / length} : Vector3{1, 0, 0};
  out.number(name, length, "m");
  out.attribute(name, "transformation_type", "translation");
  out.attribute(name, "vector", along);
  out.attribute(name, "offset", Vector3{});
  out.attribute(name, "depends_on", depends_on);
}

// `sized`: a module of the same size that is there, or "".
void write_module(NexusWriter& out, const std::string& group, const LaboratoryPanel& panel, const std::string& sized) {
  const auto pixels = [](std::uint32_t y, std::uint32_t x) {
    return std::array<std::int32_t, 2>{static_cast<std::int32_t>(y), static_cast<std::int32_t>(x)};
  };
  const std::string offset = group + "/module_offset";
  out.group(group, "NXdetector_module");
  out.pair(group + "/data_origin", pixels(panel.y, panel.x));
  if (sized.empty()) {
    out.pair(group + "/data_size", pixels(panel.height, panel.width));
  } else {
    out.same(group + "/data_size", sized + "/data_size");
  }
  write_translation(out, offset, panel.corner, kNexusDistance);
  write_translation(out, group + "/fast_pixel_direction", panel.column, offset);
  write_translation(out, group + "/slow_pixel_direction", panel.row, offset);
}

void write_detector(NexusWriter& out, const Laboratory& laboratory, const std::vector<double>& distances) {
  const std::string group = kNexusDetector;
  out.group(group, "NXdetector");
  out.attribute(group, kNexusDigest, digest_of(laboratory));
  out.link(group + "/data", kImageDataset);
  out.link(group + "/pixel_mask", kMaskDataset);
  out.text(group + "/sensor_material", laboratory.sensor.material);
  out.number(group + "/sensor_thickness", laboratory.sensor.thickness, "m");
  out.number(group + "/x_pixel_size", length_of(laboratory.panels.front().column), "m");
  out.number(group + "/y_pixel_size", length_of(laboratory.panels.front().row), "m");
  out.text(group + "/depends_on", kNexusDistance);
  out.link(group + "/distance", kNexusDistance);
  out.group(group + "/transformations", "NXtransformations");
  write_nexus_distance(out, distances);
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> sized;  // the first module of each size
  for (std::size_t i = 0; i < laboratory.panels.size(); ++i) {
    const LaboratoryPanel& panel = laboratory.panels[i];
    const std::string module = group + "/" + module_name(i, laboratory.panels.size(), panel.name);
    std::string& first = sized[{panel.height, panel.width}];
    write_module(out, module, panel, first);
    if (first.empty()) first = module;
  }
}

// "2026-11-30T16:04:00.000000Z"
std::string nexus_time(std::int64_t realtime_ns) {
  const std::string text = iso_time(realtime_ns);
  return text.substr(0, text.find('+')) + "Z";
}

void take_times(NexusEvents& said, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = 0;
  for (const auto& stored : events) {
    const std::uint64_t time = stored.event.timestamp;
    if (time == 0) continue;
    const auto ns =
        static_cast<std::int64_t>(time >> 32) * 1'000'000'000 + static_cast<std::int64_t>(time & 0xffffffffU);
    first = std::min(first, ns);
    last = std::max(last, ns);
  }
  said.start = nexus_time(last > 0 ? first : facts.created_ns);
  said.end = nexus_time(last > 0 ? last : facts.created_ns);
}

// "" or what is not known.
std::string say(NexusEvents& said, const FileFacts& facts, const std::vector<StoredEvent>& events) {
  const Laboratory& laboratory = facts.laboratory;
  if (!laboratory.unknown.empty()) return laboratory.unknown;
  said.instrument = facts.instance;
  said.run_facts = facts.run_facts;
  take_times(said, facts, events);
  if (facts.with_photon_energy) {
    for (const auto& stored : events) said.wavelengths.push_back(kElectronVoltAngstrom / stored.event.photon_energy_ev);
  } else if (laboratory.photon_energy_ev) {
    said.one_wavelength = true;
    said.wavelengths = {kElectronVoltAngstrom / *laboratory.photon_energy_ev};
  } else {
    return "the photon energy of these events is not known, and the geometry file says none";
  }
  for (const auto& stored : events) {
    const double distance = distance_of(laboratory.length, stored.event.encoder_value);
    if (!(distance > 0) || !std::isfinite(distance))
      return "the distance of " + describe(stored.event.key) + " is not known, or not in front of the sample";
    said.distances.push_back(distance);
  }
  const auto& all = said.distances;
  if (std::all_of(all.begin(), all.end(), [&](double distance) { return distance == all.front(); }))
    said.distances.resize(1);
  return "";
}

}  // namespace

void write_nexus_distance(NexusWriter& out, const std::vector<double>& distances) {
  const std::string name = kNexusDistance;
  if (distances.size() == 1) {
    out.number(name, distances.front(), "m");
  } else {
    out.numbers(name, distances, "m");
  }
  out.attribute(name, "transformation_type", "translation");
  out.attribute(name, "vector", Vector3{0, 0, 1});
  out.attribute(name, "offset", Vector3{});
  out.attribute(name, "depends_on", kEnd);
}

void write_nexus_entry(NexusWriter& out, const NexusEvents& events) {
  out.attribute("/", "NX_class", "NXroot");
  out.attribute("/", "default", "entry");
  out.group("/entry", "NXentry");
  out.attribute("/entry", "default", "data");
  out.text("/entry/definition", "NXmx");
  out.attribute("/entry/definition", "version", "1.0");
  out.text("/entry/start_time", events.start);
  out.text("/entry/end_time_estimated", events.end);
  if (events.run_facts.number) out.text("/entry/entry_identifier", std::to_string(*events.run_facts.number));
  if (!events.run_facts.proposal.empty()) out.text("/entry/experiment_identifier", events.run_facts.proposal);
  if (!events.run_facts.user.empty()) out.text("/entry/title", events.run_facts.user);
  out.group("/entry/data", "NXdata");
  out.attribute("/entry/data", "signal", "data");
  out.no_axes("/entry/data", 3);  // else readers look here for those that CXI's attribute of the images names
  out.link("/entry/data/data", kImageDataset);
  out.group("/entry/sample", "NXsample");
  out.text("/entry/sample/name", kUnknownName);
  out.text("/entry/sample/depends_on", kEnd);
  out.group("/entry/source", "NXsource");
  out.text("/entry/source/name", kUnknownName);
  out.group("/entry/instrument", "NXinstrument");
  out.text("/entry/instrument/name", events.instrument);
  out.group("/entry/instrument/beam", "NXbeam");
  if (events.one_wavelength) {
    out.number(kNexusWavelength, events.wavelengths.front(), "angstrom");
  } else {
    out.numbers(kNexusWavelength, events.wavelengths, "angstrom");
  }
}

Status write_nexus(hid_t file, const std::filesystem::path& path, const FileFacts& facts,
                   const std::vector<StoredEvent>& events) {
  NexusWriter out(file, path);
  NexusEvents said;
  if (const std::string unknown = say(said, facts, events); !unknown.empty()) {
    out.attribute("/", kNexusUnknown, unknown);
    return out.status();
  }
  write_nexus_entry(out, said);
  write_detector(out, facts.laboratory, said.distances);
  return out.status();
}

std::uint64_t nexus_bytes(const Laboratory& laboratory, std::size_t events) {
  constexpr std::uint64_t kFixed = std::uint64_t{16} << 10;
  constexpr std::uint64_t kModule = std::uint64_t{4} << 10;
  return kFixed + laboratory.panels.size() * kModule + 2 * sizeof(double) * events;
}

}  // namespace peaknet::writer
