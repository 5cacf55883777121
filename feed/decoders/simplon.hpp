// The Simplon dialect: CBOR messages of a run's start, of one image each, and of the run's end (facts/upstream.md 2.4),
// with a leading byte and without. lclstreamer's ranks send their images as they have them, only one rank sends start
// and end: so an image is read without any start, in the pool's shape, and start and end say only what they say
// (`news`). A start whose shape is not the pool's is refused, and tells so before the images do.
//
// Images are unpacked one by one when they are asked for, into memory of the decoder, and converted into the slot.
#pragma once

#include "feed/decoders/decoder.hpp"
#include "feed/decoders/scratch.hpp"

namespace peaknet::feed {

class SimplonDecoder : public Decoder {
 public:
  explicit SimplonDecoder(DecodeOptions options) : options_(std::move(options)) {}

  // Errors: simplon.damaged, simplon.unsupported, message.missing-field, message.bad-field, message.too-large,
  // frame.shape.
  using Decoder::open;
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override;
  RunBoundary news() const override { return news_; }
  std::optional<Sequence> sequence() const override { return sequence_; }

 private:
  DecodeOptions options_;
  RunBoundary news_;
  std::optional<Sequence> sequence_;
  Scratch unpacked_, block_;
};

}  // namespace peaknet::feed
