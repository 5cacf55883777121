// The npz dialect: numpy.savez or numpy.savez_compressed of {image, timestamp, photon_wavelength, image_original_shape}
// (facts/upstream.md 2.2); only the image must be there, other members are not looked at.
//
// Stored images are copied straight from the message into the slots. Deflated ones are unpacked as a whole, for the
// checksum of the member covers all of its events, and no event may go before it is known to be right: into the landing
// if they are as the pool wants them and there is one, else into memory of the decoder. To unpack in pieces (isa-l)
// would not be faster: it unpacks slower than libdeflate by what the passes over the memory cost.
#pragma once

#include "feed/decoders/batch.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/decoders/inflater.hpp"
#include "feed/decoders/npy.hpp"
#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

class NpzDecoder : public Decoder {
 public:
  explicit NpzDecoder(DecodeOptions options) : options_(std::move(options)) {}

  // Errors: npz.truncated, npz.damaged, npz.unsupported, message.missing-field, message.bad-field, message.too-large,
  // message.too-many-events, frame.shape.
  using Decoder::open;
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override;

 private:
  EventBytes brought_home(std::span<const std::byte> stored, const NpyHeader& header, const BatchLayout& plan);
  DecodeOptions options_;
  Scratch scratch_, gathered_, home_;
  WholeInflater inflater_;
};

}  // namespace peaknet::feed
