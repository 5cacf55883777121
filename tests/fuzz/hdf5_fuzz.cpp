// libFuzzer target of HDF5 messages, the library and all. Any bytes are a message. Here the library runs in this
// process, and what makes it crash ends it; in the feed it runs in a sandbox, and that costs the message alone. So what
// has survey_hdf5 in its stack is contained, and anything else is not. See docs/feed.md, "Fuzzing".
#include "feed/decoders/hdf5_image.hpp"
#include "tests/fuzz/take_all.hpp"
#include "tests/unit/feed/read_at.hpp"

namespace peaknet::feed {
namespace {

Result<Hdf5Layout> survey(std::span<const std::byte> message, const shm::Geometry& geometry) {
  static const DecodeOptions options = fuzz::small_limits();
  const Hdf5Guard guard;
  return load_survey(save(survey_hdf5(test::reader_of(message), message.size(), geometry, options)), message, options);
}

}  // namespace
}  // namespace peaknet::feed

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  // What the library keeps of one message is no fault in the next, and its headers of 600 kB are not made anew for
  // each.
  H5set_free_list_limits(-1, -1, 0, 0, 0, 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peaknet::feed;
  static Hdf5ImageDecoder decoder(fuzz::small_limits(), survey);
  fuzz::take_all(decoder, {reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
