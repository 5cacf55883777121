// libFuzzer target of one decoder, PEAKNET_FUZZ_DECODER. Any bytes are a message. See docs/feed.md, "Fuzzing".
#include "feed/decoders/fast_binary.hpp"
#include "feed/decoders/npz.hpp"
#include "feed/decoders/simplon.hpp"
#include "tests/fuzz/take_all.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peaknet::feed;
  static PEAKNET_FUZZ_DECODER decoder(fuzz::small_limits());
  fuzz::take_all(decoder, {reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
