// The npz dialect: numpy.savez or numpy.savez_compressed of {image, timestamp, photon_wavelength, image_original_shape}
// (facts/upstream.md 2.2); only the image must be there, other members are not looked at.
//
// Stored images are copied straight from the message into the slots. Deflated ones are unpacked as a whole into memory
// of the decoder first: the checksum of the member covers all of its events, and no event may go before it is known to
// be right. Slots are not claimed for events that may never go: where the pool drops its oldest frames, a damaged
// message would cost as many sound ones. To unpack in pieces (isa-l) straight into slots would not be faster either:
// it unpacks slower than libdeflate by what the two passes over the memory cost.
#pragma once

#include "feed/decoders/decoder.hpp"
#include "feed/decoders/inflater.hpp"
#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

class NpzDecoder : public Decoder {
 public:
  explicit NpzDecoder(DecodeOptions options) : options_(std::move(options)) {}

  // Errors: npz.truncated, npz.damaged, npz.unsupported, message.missing-field, message.bad-field, message.too-large,
  // message.too-many-events, frame.shape.
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry) override;

 private:
  DecodeOptions options_;
  Scratch scratch_;
  WholeInflater inflater_;
};

}  // namespace peaknet::feed
