#include "tests/unit/feed/packing.hpp"

#include <blosc.h>
#include <lz4.h>
#include <zfp.h>
#include <zstd.h>

#include <array>
#include <bit>
#include <stdexcept>

namespace peaknet::test {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& out, const void* data, std::size_t size) {
  if (size == 0) return;
  const std::size_t at = out.size();
  out.resize(at + size);
  std::memcpy(out.data() + at, data, size);
}
void append(Bytes& out, const Bytes& bytes) { append(out, bytes.data(), bytes.size()); }
template <class Number>
void put(Bytes& out, Number value) {
  append(out, &value, sizeof value);
}
void put_big_endian(Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<std::byte>(value >> 8 * i & 0xffU));
}

Bytes transpose_bits(const Bytes& raw, std::size_t sample_bytes) {
  const std::size_t samples = raw.size() / sample_bytes;
  Bytes out(raw.size());
  for (std::size_t i = 0; i < samples; ++i) {
    for (std::size_t bit = 0; bit < 8 * sample_bytes; ++bit) {
      if ((raw[i * sample_bytes + bit / 8] >> bit % 8 & std::byte{1}) == std::byte{0}) continue;
      const std::size_t to = bit * samples + i;
      out[to / 8] |= std::byte{1} << to % 8;
    }
  }
  return out;
}

Bytes compress(const Bytes& raw, feed::BlockCodec codec) {
  if (codec == feed::BlockCodec::zstd) {
    Bytes out(ZSTD_compressBound(raw.size()));
    out.resize(ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), 3));
    return out;
  }
  Bytes out(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw.size()))));
  out.resize(static_cast<std::size_t>(
      LZ4_compress_default(reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(out.data()),
                           static_cast<int>(raw.size()), static_cast<int>(out.size()))));
  return out;
}

}  // namespace

Bytes pack_bitshuffle(const Bytes& raw, std::size_t sample_bytes, std::size_t block_samples, feed::BlockCodec codec) {
  Bytes out;
  std::size_t at = 0, left = raw.size() / sample_bytes;
  while (left >= 8) {
    const std::size_t samples = left >= block_samples ? block_samples : left / 8 * 8;
    const auto begin = raw.begin() + static_cast<std::ptrdiff_t>(at);
    const Bytes block(begin, begin + static_cast<std::ptrdiff_t>(samples * sample_bytes));
    const Bytes packed = compress(transpose_bits(block, sample_bytes), codec);
    put_big_endian(out, packed.size(), 4);
    append(out, packed);
    at += block.size();
    left -= samples;
  }
  append(out, raw.data() + at, raw.size() - at);
  return out;
}

Bytes pack_bitshuffle_chunk(const Bytes& raw, std::size_t sample_bytes, std::size_t block_samples,
                            feed::BlockCodec codec) {
  Bytes out;
  put_big_endian(out, raw.size(), 8);
  put_big_endian(out, block_samples * sample_bytes, 4);
  append(out, pack_bitshuffle(raw, sample_bytes, block_samples, codec));
  return out;
}

ZfpChunk pack_zfp(std::vector<float> image, std::size_t height, std::size_t width) {
  constexpr unsigned kFilterVersion = 0x1010'0111;
  zfp_field* field = zfp_field_2d(image.data(), zfp_type_float, width, height);
  zfp_stream* stream = zfp_stream_open(nullptr);
  zfp_stream_set_reversible(stream);

  std::array<std::uint64_t, 4> head{};
  bitstream* head_bits = stream_open(head.data(), sizeof head);
  zfp_stream_set_bit_stream(stream, head_bits);
  const std::size_t bits = zfp_write_header(stream, field, ZFP_HEADER_FULL);
  zfp_stream_flush(stream);
  ZfpChunk chunk;
  chunk.values.resize(1 + (bits + 31) / 32);
  chunk.values.front() = kFilterVersion;
  std::memcpy(chunk.values.data() + 1, head.data(), (chunk.values.size() - 1) * sizeof(unsigned));

  chunk.bytes.resize(zfp_stream_maximum_size(stream, field));
  bitstream* body = stream_open(chunk.bytes.data(), chunk.bytes.size());
  zfp_stream_set_bit_stream(stream, body);
  zfp_stream_rewind(stream);
  chunk.bytes.resize(zfp_compress(stream, field));
  stream_close(body);
  stream_close(head_bits);
  zfp_stream_close(stream);
  zfp_field_free(field);
  return chunk;
}

Bytes pack_blosc(const Bytes& raw, std::size_t sample_bytes, const std::string& codec) {
  Bytes out(raw.size() + BLOSC_MAX_OVERHEAD);
  const int size = blosc_compress_ctx(5, BLOSC_SHUFFLE, sample_bytes, raw.size(), raw.data(), out.data(), out.size(),
                                      codec.c_str(), 0, 1);
  if (size <= 0) throw std::runtime_error("Blosc has no " + codec);
  out.resize(static_cast<std::size_t>(size));
  return out;
}

void CborWriter::head(unsigned major, std::uint64_t argument) {
  const auto first = [&](unsigned low) { body_.push_back(static_cast<std::byte>(major << 5 | low)); };
  if (argument < 24) {
    first(static_cast<unsigned>(argument));
  } else if (argument <= 0xff) {
    first(24);
    put_big_endian(body_, argument, 1);
  } else if (argument <= 0xffff) {
    first(25);
    put_big_endian(body_, argument, 2);
  } else if (argument <= 0xffff'ffff) {
    first(26);
    put_big_endian(body_, argument, 4);
  } else {
    first(27);
    put_big_endian(body_, argument, 8);
  }
}
CborWriter& CborWriter::key(const std::string& name) {
  ++entries_;
  head(3, name.size());
  append(body_, name.data(), name.size());
  return *this;
}
CborWriter& CborWriter::text(const std::string& name, const std::string& value) {
  key(name).head(3, value.size());
  append(body_, value.data(), value.size());
  return *this;
}
CborWriter& CborWriter::number(const std::string& name, std::uint64_t value) {
  key(name).head(0, value);
  return *this;
}
CborWriter& CborWriter::real(const std::string& name, double value) {
  key(name);
  body_.push_back(std::byte{0xfb});
  put_big_endian(body_, std::bit_cast<std::uint64_t>(value), 8);
  return *this;
}
CborWriter& CborWriter::bytes(const std::string& name, const Bytes& value) {
  key(name).head(2, value.size());
  append(body_, value);
  return *this;
}
CborWriter& CborWriter::null(const std::string& name) {
  key(name);
  body_.push_back(std::byte{0xf6});
  return *this;
}
CborWriter& CborWriter::list(const std::string& name, const std::vector<double>& values) {
  key(name).head(4, values.size());
  for (const double value : values) {
    body_.push_back(std::byte{0xfb});
    put_big_endian(body_, std::bit_cast<std::uint64_t>(value), 8);
  }
  return *this;
}
Bytes CborWriter::message(char lead) const {
  CborWriter map;
  map.head(5, entries_);
  Bytes out;
  if (lead != 0) out.push_back(static_cast<std::byte>(lead));
  append(out, map.body_);
  append(out, body_);
  return out;
}

FastBinaryWriter& FastBinaryWriter::add(const std::string& name, const std::string& type,
                                        const std::vector<std::int64_t>& dims, const Bytes& raw, std::uint8_t packing,
                                        const Bytes& stored) {
  ++fields_;
  for (const std::string& text : {name, type}) {
    put(body_, static_cast<std::uint32_t>(text.size()));
    append(body_, text.data(), text.size());
  }
  put(body_, static_cast<std::uint32_t>(dims.size()));
  for (const std::int64_t n : dims) put(body_, n);
  put(body_, packing);
  const Bytes& data = packing == 0 ? raw : stored;
  put(body_, static_cast<std::uint64_t>(raw.size()));
  put(body_, static_cast<std::uint64_t>(data.size()));
  append(body_, data);
  return *this;
}
Bytes FastBinaryWriter::message() const {
  Bytes out;
  put(out, std::uint32_t{0x4E504159});
  put(out, std::uint32_t{1});
  put(out, fields_);
  append(out, body_);
  return out;
}

}  // namespace peaknet::test
