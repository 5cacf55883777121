// Hits as Simplon messages, in the dialects of lclstreamer: CBOR maps of a run's start, of one image each, and of the
// run's end, as DIALS' streams take them (facts: feed/decoders/simplon.hpp reads the same).
//
// Both dialects are still moving, so what they disagree about is a switch: a byte before the map, and names of keys.
// Images have the type of the file, packed as bitshuffle-lz4 in blocks of 4096 numbers without a head.
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cxi/event.hpp"
#include "live/zmtp.hpp"

namespace peaknet::live {

struct SimplonDialect {
  bool lead = false;       // 'c' or 'm' before the map, as lclstreamer's main branch has it
  bool old_names = false;  // run_number, run, datatype, dtype, stop; else run_id, image_dtype, end (pull request 51)
};

Bytes simplon_start(const SimplonDialect& dialect, const writer::FileFacts& facts, const std::string& run);
// `number`: of the message in its run, from 1. `pixels`: the slab, row by row.
Bytes simplon_image(const SimplonDialect& dialect, const writer::FileFacts& facts, const writer::Event& event,
                    const std::string& run, std::uint64_t number, std::span<const std::byte> pixels);
Bytes simplon_end(const SimplonDialect& dialect, const std::string& run);

// As bitshuffle.compress_lz4(values, block_size=4096). `element_bytes`: 2 or 4.
std::vector<std::uint8_t> packed_blocks(std::span<const std::byte> pixels, std::size_t element_bytes);

}  // namespace peaknet::live
