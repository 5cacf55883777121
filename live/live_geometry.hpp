// The CrystFEL geometry for hits over ZeroMQ, made of the one that the files are made with (output.geometry). What says
// where things lie in files is taken out and stays as a comment; the keys of crystfel_message.hpp are put in; the mask
// is that of the files, in a file of its own, since a message has none. Numbers that somebody wrote (photon_energy =
// 9500, clen = 0.2) stay.
//
// Pure functions but for write_mask_file. Errors: those of the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "cxi/event.hpp"

namespace peaknet::live {

// `mask_file`: absolute, as write_mask_file() made it.
std::string live_geometry(std::string_view geometry, const writer::FileFacts& facts, const std::string& mask_file);

// The mask (writer::slab_mask) as an HDF5 file that CrystFEL reads; replaced as a whole.
Status write_mask_file(const std::filesystem::path& path, const writer::FileFacts& facts,
                       std::span<const std::uint16_t> mask);

// A text as a whole file; replaced as a whole.
Status write_text_file(const std::filesystem::path& path, const std::string& text);

}  // namespace peaknet::live
