// Decoder: a message from the network as a FrameSource. The one interface of all dialects, and the choice between them.
//
// A message is somebody else's bytes. Everything in it is bounded and checked before it is used, and before memory is
// taken for it: what a message claims costs nothing until the pool's shape and the limits agree with it. A message that
// is not good as a whole is refused by `open`, with the reason as a stable id; nothing else is disturbed. One thread
// uses one decoder at a time; the source that it gives must go before the decoder opens the next message, and before
// the message goes: frames are read from the message, or from memory of the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "feed/frame_source.hpp"

namespace peaknet::feed {

enum class Dialect : std::uint8_t { npz, hdf5, simplon, fast_binary, unknown };
std::string_view name(Dialect dialect);

// Seen from the first bytes alone.
Dialect dialect_of(std::span<const std::byte> message);

// What no honest message exceeds.
struct DecodeLimits {
  std::size_t message_bytes = std::size_t{1} << 30;
  std::size_t unpacked_bytes = std::size_t{2} << 30;  // of the image data of one message
  std::uint64_t events = 4096;                        // in one message
};

struct DecodeOptions {
  config::WavelengthUnit wavelength_unit = config::WavelengthUnit::nm;
  // Where a sender that pads its images (the original shape tells) has put the padding.
  config::PadStyle pad = config::PadStyle::bottom_right;
  bool normalised = false;  // the sender normalises its images: they are not counts. Recorded in each frame.
  // Field names in the message. The first is the one of npz; HDF5 messages also use the well-known places of
  // lclstreamer.
  std::string image = "detector_data";
  // Where a message has this field too, it has the counts of the detector, and is taken instead; `normalised` is then
  // not so.
  std::string raw = "detector_data_raw";
  std::string timestamp = "timestamp";
  std::string wavelength = "photon_wavelength";
  // Is photon_energy of lclstreamer's old Simplon dialect the energy of photons? By itself it is that of electrons.
  bool simplon_energy = false;
  config::FeedColumns columns = {};  // what else is kept of an event
  DecodeLimits limits = {};
};

// What a message says of its sender's run, in the dialect that has runs (Simplon).
struct RunBoundary {
  enum class Kind : std::uint8_t { none, start, end };
  Kind kind = Kind::none;
  std::string run;  // the sender's name for it; empty if it says none
};

// The number that a sender has given to a message, in the dialect that has numbers (Simplon's images).
struct Sequence {
  std::string source;  // who counts: the sender's run
  std::uint64_t number = 0;
};

// Where a decoder that unpacks all images of a message at once may put them: memory for `lead` bytes of anything and,
// after them, so many images of the pool. Empty: nowhere, it takes memory of its own. What is there may be anything
// until `open` has succeeded; then the source's frames must be there as they are to be committed.
using DecodeBuffer = std::function<std::span<std::byte>(std::size_t lead, std::uint64_t frames)>;

class Decoder {
 public:
  virtual ~Decoder() = default;
  // A source of no frames is a message without images that was understood; `news` may then say more. `landing` is
  // asked once at most, and before `open` returns; it may be empty.
  virtual Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                                    const DecodeBuffer& decode_buffer) = 0;
  auto open(std::span<const std::byte> message, const shm::Geometry& geometry) { return open(message, geometry, {}); }
  // Of the message that was opened last.
  virtual RunBoundary news() const { return {}; }
  virtual std::optional<Sequence> sequence() const { return std::nullopt; }
};

// A decoder for all dialects. Errors of its `open`, beside those of the dialect: message.empty, message.too-large,
// dialect.unknown. It has a process of its own for HDF5 (Sandbox): make it before there are threads and much memory.
std::unique_ptr<Decoder> make_decoder(const DecodeOptions& options);

// As many decoders as there will be threads that decode.
struct Decoders {
  Decoders(std::size_t count, const DecodeOptions& options);
  DecodeLimits limits = {};
  std::vector<std::unique_ptr<Decoder>> all;
};

}  // namespace peaknet::feed
