// What the fuzzers of the decoders do with a message: it is refused, or all of its frames are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
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
  static std::vector<std::byte> image(test::kSeedFrames.image_bytes());
  const auto opened = decoder.open(message, test::kSeedFrames);
  if (!opened) return;
  for (std::uint64_t i = 0; i < (*opened)->size(); ++i) {
    shm::FrameDescriptor info;
    (void)(*opened)->fill(i, {image, info});
  }
}

}  // namespace peaknet::feed::fuzz
