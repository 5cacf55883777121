// A hit as indexamajig takes it: one MsgPack map (`--data-format=msgpack --peaks=msgpack`).
//
//   image             {"type": "<i4" or "<f4", "shape": [ss, fs], "data": binary}: CrystFEL knows no 16-bit pixels
//   peak_list         {"fs": [...], "ss": [...], "intensity": [...]}: numbers of the slab as in the CXI file, always
//                     floating (CrystFEL reads an integer as the bits of a double), without the half pixel that it adds
//   photon_energy_eV, encoder_mm, fiducial, timestamp, source_run    where the event knows them, else absent
//   frame             "run 0217 producer 3 frame 1207": experiment_identifier of the CXI file
//   one for each column of feed.columns that the event knows (column_values.hpp)
//   event_id, run     texts: CrystFEL's integers are shorter than an id
//
// Invariant: no key is the beginning of another, also inside the maps: CrystFEL compares as far as the map's key goes.
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <span>

#include "cxi/event.hpp"
#include "live/zmtp.hpp"

namespace peaknet::live {

inline constexpr const char* kImageKey = "image";
inline constexpr const char* kPeaksKey = "peak_list";
inline constexpr const char* kEnergyKey = "photon_energy_eV";
inline constexpr const char* kEncoderKey = "encoder_mm";

// `pixels`: the slab, row by row, of facts.pixel_type.
Bytes crystfel_message(const writer::FileFacts& facts, const writer::Event& event, std::span<const std::byte> pixels);

}  // namespace peaknet::live
