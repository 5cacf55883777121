#include "feed/decoders/decoder.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "base/text.hpp"
#include "feed/decoders/fast_binary.hpp"
#include "feed/decoders/hdf5_image.hpp"
#include "feed/decoders/npz.hpp"
#include "feed/decoders/simplon.hpp"

namespace peaknet::feed {
namespace {

bool begins_with(std::span<const std::byte> message, std::string_view magic) {
  return message.size() >= magic.size() && std::memcmp(message.data(), magic.data(), magic.size()) == 0;
}

class AnyDecoder : public Decoder {
 public:
  explicit AnyDecoder(const DecodeOptions& options)
      : limits_(options.limits), npz_(options), hdf5_(options), simplon_(options), fast_binary_(options) {}
  RunBoundary news() const override { return news_; }
  std::optional<Sequence> sequence() const override { return sequence_; }

  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override {
    news_ = {};
    sequence_.reset();
    if (message.empty()) {
      return Error{"message.empty", "a message has no bytes", "the next message is served", "look at the sender"};
    }
    if (message.size() > limits_.message_bytes) {
      return Error{"message.too-large",
                   "a message has " + human_bytes(message.size()) + ", at most " + human_bytes(limits_.message_bytes) +
                       " are allowed",
                   "it was not read", "send fewer images in one message"};
    }
    switch (dialect_of(message)) {
      case Dialect::npz:
        return npz_.open(message, geometry, decode_buffer);
      case Dialect::hdf5:
        return hdf5_.open(message, geometry);
      case Dialect::simplon: {
        auto opened = simplon_.open(message, geometry);
        news_ = simplon_.news();
        sequence_ = simplon_.sequence();
        return opened;
      }
      case Dialect::fast_binary:
        return fast_binary_.open(message, geometry);
      case Dialect::unknown:
        break;
    }
    if (begins_with(message, "\xd9\xd9\xf7")) {
      return Error{"dialect.dectris-2",
                   "a message of " + human_bytes(message.size()) + " is of DECTRIS' stream 2 (CBOR)",
                   "it was not read; the next message is served",
                   "that stream is not read: let the detector write files and replay them, or put lclstreamer between"};
    }
    std::string begin;
    for (const std::byte byte : message.first(std::min<std::size_t>(8, message.size()))) {
      std::array<char, 4> hex{};
      std::snprintf(hex.data(), hex.size(), "%02x ", static_cast<unsigned>(byte));
      begin += hex.data();
    }
    return Error{"dialect.unknown",
                 "a message of " + human_bytes(message.size()) + " begins with " + begin + "and is in no known format",
                 "it was not read; the next message is served",
                 "is something else than lclstreamer connected to this endpoint?"};
  }

 private:
  DecodeLimits limits_;
  NpzDecoder npz_;
  Hdf5ImageDecoder hdf5_;
  SimplonDecoder simplon_;
  FastBinaryDecoder fast_binary_;
  RunBoundary news_;
  std::optional<Sequence> sequence_;
};

// A text of CBOR of 2 to 23 small letters, digits and underscores?
bool begins_with_a_name(std::span<const std::byte> cbor) {
  if (cbor.empty() || (cbor[0] & std::byte{0xe0}) != std::byte{0x60}) return false;
  const auto size = static_cast<std::size_t>(cbor[0] & std::byte{0x1f});
  if (size < 2 || size > 23 || cbor.size() <= size) return false;
  const auto letters = cbor.subspan(1, size);
  return std::all_of(letters.begin(), letters.end(), [](std::byte byte) {
    const char c = static_cast<char>(byte);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

std::string_view name(Dialect dialect) {
  constexpr std::array<std::string_view, 5> kNames = {"npz", "hdf5", "simplon", "fast_binary", "unknown"};
  return kNames[static_cast<std::size_t>(dialect)];
}

Dialect dialect_of(std::span<const std::byte> message) {
  if (begins_with(message, "PK\x03\x04") || begins_with(message, "PK\x05\x06")) return Dialect::npz;
  if (begins_with(message, "\x89HDF\r\n\x1a\n")) return Dialect::hdf5;
  if (begins_with(message, "YAPN")) return Dialect::fast_binary;
  // CBOR: a map of up to 23 or up to 255 entries whose first key is a name, in whatever order its sender keeps them;
  // before it one byte, c or m, or nothing.
  auto rest =
      !message.empty() && (message[0] == std::byte{'c'} || message[0] == std::byte{'m'}) ? message.subspan(1) : message;
  if (rest.empty() || (rest[0] & std::byte{0xe0}) != std::byte{0xa0}) return Dialect::unknown;
  rest = rest.subspan(std::min<std::size_t>(rest.size(), rest[0] == std::byte{0xb8} ? 2 : 1));
  return begins_with_a_name(rest) ? Dialect::simplon : Dialect::unknown;
}

std::unique_ptr<Decoder> make_decoder(const DecodeOptions& options) { return std::make_unique<AnyDecoder>(options); }

Decoders::Decoders(std::size_t count, const DecodeOptions& options) : limits(options.limits) {
  for (std::size_t i = 0; i < count; ++i) all.push_back(make_decoder(options));
}

}  // namespace peaknet::feed
