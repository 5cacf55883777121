#include "feed/decoders/inflater.hpp"

#include <algorithm>
#include <array>

namespace peaknet::feed {
namespace {
constexpr std::size_t kPiece = std::size_t{1} << 30;  // zlib counts in 32 bits
}

Inflater::Inflater(std::span<const std::byte> packed, Format format) : rest_(packed) {
  good_ = inflateInit2(&stream_, format == Format::raw ? -MAX_WBITS : MAX_WBITS) == Z_OK;
}

Inflater::~Inflater() { inflateEnd(&stream_); }

void Inflater::refill() {
  if (stream_.avail_in > 0 || rest_.empty()) return;
  const std::size_t piece = std::min(kPiece, rest_.size());
  // zlib's interface lacks a const that its implementation keeps.
  stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(rest_.data()));
  stream_.avail_in = static_cast<uInt>(piece);
  rest_ = rest_.subspan(piece);
}

bool Inflater::read(std::span<std::byte> out) {
  while (!out.empty()) {
    if (!good_ || ended_) return false;
    refill();
    const std::size_t piece = std::min(kPiece, out.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(piece);
    const int said = inflate(&stream_, Z_NO_FLUSH);
    const std::size_t got = piece - stream_.avail_out;
    out = out.subspan(got);
    ended_ = said == Z_STREAM_END;
    // No progress with input and room at hand, or no input: damaged or cut.
    good_ = ended_ || (said == Z_OK && (got > 0 || !rest_.empty())) || (said == Z_BUF_ERROR && !rest_.empty());
  }
  return good_;
}

bool Inflater::at_end() {
  // zlib may hold the end of the stream already, so it is asked even where no input is left.
  while (good_ && !ended_) {
    refill();
    std::array<Bytef, 1> one{};
    stream_.next_out = one.data();
    stream_.avail_out = 1;
    const int said = inflate(&stream_, Z_NO_FLUSH);
    if (stream_.avail_out == 0) return false;  // there is more
    ended_ = said == Z_STREAM_END;
    good_ = ended_ || ((said == Z_OK || said == Z_BUF_ERROR) && !rest_.empty());
  }
  return good_ && stream_.avail_in == 0 && rest_.empty();
}

}  // namespace peaknet::feed
