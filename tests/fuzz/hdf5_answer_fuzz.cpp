// libFuzzer target of what the feed itself does with an HDF5 message: no library, but a sandbox that answers anything.
// The input is the length of the answer (4 bytes, little-endian), the answer, and the message. Whatever this finds is
// ours, and not contained. See docs/feed.md, "Fuzzing".
#include <algorithm>
#include <cstring>

#include "feed/decoders/hdf5_image.hpp"
#include "tests/fuzz/take_all.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peaknet::feed;
  static std::span<const std::byte> answer;
  static Hdf5ImageDecoder decoder(fuzz::small_limits(),
                                  [options = fuzz::small_limits()](auto message, const peaknet::shm::Geometry&) {
                                    return load_survey(answer, message, options);
                                  });
  std::uint32_t length = 0;
  if (size < sizeof length) return 0;
  std::memcpy(&length, data, sizeof length);
  const auto rest = std::as_bytes(std::span(data, size)).subspan(sizeof length);
  answer = rest.first(std::min<std::size_t>(length, rest.size()));
  fuzz::take_all(decoder, rest.subspan(answer.size()));
  return 0;
}
