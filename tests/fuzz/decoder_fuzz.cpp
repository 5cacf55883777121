// libFuzzer target of one decoder, PEAKNET_FUZZ_DECODER. Any bytes are a message: it is refused, or all of its frames
// are asked for. See docs/feed.md, "Fuzzing".
#include <cstdint>
#include <type_traits>
#include <vector>

#include "feed/decoders/fast_binary.hpp"
#include "feed/decoders/hdf5_image.hpp"
#include "feed/decoders/npz.hpp"
#include "feed/decoders/simplon.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed {
namespace {

DecodeOptions small_limits() {
  DecodeOptions options;
  options.limits = {.message_bytes = std::size_t{1} << 20, .unpacked_bytes = std::size_t{1} << 20, .events = 64};
  return options;
}

void take_all(std::span<const std::byte> message) {
  // HDF5's own crashes end this process: run that fuzzer with -fork=1 -ignore_crashes=1, and judge what it finds.
  static auto decoder = [] {
    if constexpr (std::is_same_v<PEAKNET_FUZZ_DECODER, Hdf5ImageDecoder>) {
      return Hdf5ImageDecoder(small_limits(), Hdf5ImageDecoder::Process::this_one);
    } else {
      return PEAKNET_FUZZ_DECODER(small_limits());
    }
  }();
  static std::vector<std::byte> image(test::kSeedFrames.image_bytes());
  const auto opened = decoder.open(message, test::kSeedFrames);
  if (!opened) return;
  for (std::uint64_t i = 0; i < (*opened)->size(); ++i) {
    shm::FrameDescriptor info;
    (void)(*opened)->fill(i, {image, info});
  }
}

}  // namespace
}  // namespace peaknet::feed

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) peaknet::feed::take_all({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
