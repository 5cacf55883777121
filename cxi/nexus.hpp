// The NXmx tree of a file, /entry, for DIALS and whoever reads NeXus: where the panels are in the laboratory and the
// wavelength of each event, beside the CXI tree, to whose image and mask it links. A still each event: no goniometer.
//
//   /entry            definition "NXmx"; start_time and end_time_estimated: of the events, or of the file where no
//   event
//                     has a time
//                     entry_identifier, experiment_identifier and title: run number, proposal and the user's
//                     line, where they were said
//   /entry/data       NXdata, which h5web and silx open; its image is a soft link
//   /entry/instrument/detector
//     module_NN_NAME  NXdetector_module, one for each panel of the geometry file: its box in the image, two steps and
//                     module_offset, the outer corner of its first pixel
//     transformations/distance   of all modules; one value, or one for each event where the events' differ
//   /entry/instrument/beam/incident_wavelength   one for each event; one value where the geometry file alone knows it
//
// Where panels, distance or wavelength are not known there is no tree, and the root attribute kNexusUnknown says why.
// saturation_value and bit_depth_readout are left out: DIALS takes the highest counts for marks then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cxi/event.hpp"
#include "cxi/nexus_writer.hpp"

namespace peaknet::writer {

inline constexpr const char* kNexusUnknown = "no_nxmx";  // attribute of the root
inline constexpr const char* kNexusDetector = "/entry/instrument/detector";
inline constexpr const char* kNexusDistance = "/entry/instrument/detector/transformations/distance";
inline constexpr const char* kNexusWavelength = "/entry/instrument/beam/incident_wavelength";
inline constexpr const char* kNexusDigest = "digest";  // attribute of the detector: of its Laboratory

// What a tree says of its events.
struct NexusEvents {
  std::string instrument;
  shm::RunFacts run_facts;
  std::string start, end;           // times, as NeXus wants them
  std::vector<double> wavelengths;  // angstrom, one for each event; a single one if `one_wavelength`
  bool one_wavelength = false;
  std::vector<double> distances;  // metres, one for each event, or one that all have
};

// The tree without its detector, and the attributes of the root.
void write_nexus_entry(NexusWriter& out, const NexusEvents& events);
// The detector's distance, which depends on the events. Its group is there.
void write_nexus_distance(NexusWriter& out, const std::vector<double>& distances);

// The tree of a file of these events, or why there is none.
Status write_nexus(hid_t file, const std::filesystem::path& path, const FileFacts& facts,
                   const std::vector<StoredEvent>& events);

// More bytes than it needs.
std::uint64_t nexus_bytes(const Laboratory& laboratory, std::size_t events);

}  // namespace peaknet::writer
