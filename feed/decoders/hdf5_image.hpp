// The HDF5 dialect: a message is a whole HDF5 file (docs/formats/lclstreamer.md). Images are looked for under the
// configured name, at /data/data, and otherwise as the only image-like dataset; times and wavelengths under their names
// and lclstreamer's.
//
// The library reads the file's structure alone. Where the data lies in the message is asked once, and then it is taken
// from there without the library: uncompressed rows are copied straight into the slot, gzip (and shuffle), bitshuffle
// with LZ4 or Zstandard, and zfp are undone here, into memory of a known size. So a packed row cannot unpack to more
// than its shape says, no filter plugin is ever loaded for a message, and threads decode side by side. Other filters,
// external and virtual data and links to other files are refused.
//
// Damaged files crash the library, or keep it busy for ever. So it is never called here: a Sandbox, a process of its
// own that lives as long as the decoder, is asked where things lie (hdf5_layout.hpp), and what it says is checked.
// Damage that ends it costs that message.
#pragma once

#include <functional>

#include "feed/decoders/decoder.hpp"
#include "feed/decoders/hdf5_layout.hpp"
#include "feed/decoders/hdf5_rows.hpp"
#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

class Hdf5ImageDecoder : public Decoder {
 public:
  // Who finds where things lie. What it says of a message may be wrong in any way that load_survey lets through.
  using Surveyor = std::function<Result<Hdf5Layout>(std::span<const std::byte> message, const shm::Geometry& geometry)>;

  explicit Hdf5ImageDecoder(const DecodeOptions& options);  // with a Sandbox, as said above
  Hdf5ImageDecoder(DecodeOptions options, Surveyor surveyor);

  // Errors: hdf5.damaged, hdf5.filter (by name), hdf5.layout, hdf5.no-helper, message.missing-field, message.bad-field,
  // message.too-large, message.too-many-events, frame.shape.
  using Decoder::open;
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override;

 private:
  DecodeOptions options_;
  Surveyor survey_;
  Hdf5Rows::Memory memory_;
  Scratch gathered_, home_;
};

}  // namespace peaknet::feed
