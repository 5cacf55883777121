// What the fuzzers of the decoders do with a message: it is refused, or all of its frames are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "feed/decoders/decoder.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed::fuzz {

inline DecodeOptions small_limits() {
  DecodeOptions options;
  options.limits = {.message_bytes = std::size_t{1} << 20, .unpacked_bytes = std::size_t{1} << 20, .events = 64};
  return options;
}

inline void take_all(Decoder& decoder, std::span<const std::byte> message) {
  if (message.empty()) return;
  const std::size_t bytes = test::kSeedFrames.image_bytes();
  static std::vector<std::byte> image(bytes);
  std::unique_ptr<std::byte[]> place;  // of exactly the size that was asked for
  std::byte* first = nullptr;
  const DecodeBuffer decode_buffer = [&](std::size_t lead, std::uint64_t frames) {
    const std::size_t size = lead + frames * bytes;
    place = std::make_unique_for_overwrite<std::byte[]>(size);
    first = place.get() + lead;
    return std::span(place.get(), size);
  };
  // Every other message may land.
  const auto opened =
      decoder.open(message, test::kSeedFrames, message.size() % 2 == 0 ? decode_buffer : DecodeBuffer());
  if (!opened) return;
  for (std::uint64_t i = 0; i < (*opened)->size(); ++i) {
    shm::FrameDescriptor info;
    (void)(*opened)->fill(i, {first != nullptr ? std::span(first + i * bytes, bytes) : std::span(image), info});
  }
}

}  // namespace peaknet::feed::fuzz
