#include "feed/decoders/inflater.hpp"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>
#include <new>

namespace peaknet::feed {
namespace {
constexpr std::size_t kPiece = std::size_t{1} << 30;  // zlib counts in 32 bits
}

WholeInflater::WholeInflater() : decompressor_(libdeflate_alloc_decompressor()) {
  if (!decompressor_) throw std::bad_alloc();
}

bool WholeInflater::unpack(std::span<const std::byte> packed, Deflate format, std::span<std::byte> out) {
  std::size_t taken = 0;
  const auto unpack = format == Deflate::raw ? libdeflate_deflate_decompress_ex : libdeflate_zlib_decompress_ex;
  // Without a place for the unpacked size, anything but exactly out.size() is an error.
  return unpack(decompressor_.get(), packed.data(), packed.size(), out.data(), out.size(), &taken, nullptr) ==
             LIBDEFLATE_SUCCESS &&
         taken == packed.size();
}

std::uint32_t crc32_of(std::uint32_t crc, std::span<const std::byte> bytes) {
  // isa-l: twice to four times as fast as libdeflate 1.14, which has no vectors of more than 128 bits for it. Its
  // interface lacks a const that its implementation keeps.
  return crc32_gzip_refl(crc, const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data())),
                         bytes.size());
}

Inflater::Inflater(std::span<const std::byte> packed) : rest_(packed) {
  good_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK;
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
