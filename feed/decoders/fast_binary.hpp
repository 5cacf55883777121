// The FastBinary dialect of lclstreamer ("NPAY", facts/upstream.md 2.5): named arrays one after the other, each as it
// is or as a Blosc frame. Arrays as they are go straight from the message into the slots; packed images are unpacked as
// a whole into memory of the decoder first.
#pragma once

#include "feed/decoders/decoder.hpp"
#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

class FastBinaryDecoder : public Decoder {
 public:
  explicit FastBinaryDecoder(DecodeOptions options) : options_(std::move(options)) {}

  // Errors: fast_binary.damaged, fast_binary.unsupported, message.missing-field, message.bad-field, message.too-large,
  // message.too-many-events, frame.shape.
  using Decoder::open;
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override;

 private:
  DecodeOptions options_;
  Scratch unpacked_, home_;
};

}  // namespace peaknet::feed
