// Packings for tests, written for clearness: bit by bit where the decoders take eight at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "feed/decoders/bitshuffle.hpp"

namespace peaknet::test {

template <class Number>
std::vector<std::byte> bytes_of(const std::vector<Number>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(Number));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// As bitshuffle.compress_lz4 and compress_zstd write it.
std::vector<std::byte> pack_bitshuffle(const std::vector<std::byte>& raw, std::size_t sample_bytes,
                                       std::size_t block_samples, feed::BlockCodec codec = feed::BlockCodec::lz4);
// The same as a chunk of HDF5's filter 32008: with the sizes before it.
std::vector<std::byte> pack_bitshuffle_chunk(const std::vector<std::byte>& raw, std::size_t sample_bytes,
                                             std::size_t block_samples, feed::BlockCodec codec = feed::BlockCodec::lz4);

// A chunk of HDF5's filter 32013 in its lossless mode, and the values that go into the dataset's header.
struct ZfpChunk {
  std::vector<unsigned> values;
  std::vector<std::byte> bytes;
};
ZfpChunk pack_zfp(std::vector<float> image, std::size_t height, std::size_t width);

// As blosc.compress(typesize=...) writes it. `codec`: "lz4", "zstd".
std::vector<std::byte> pack_blosc(const std::vector<std::byte>& raw, std::size_t sample_bytes,
                                  const std::string& codec);

// A CBOR map, key by key in the order given.
class CborWriter {
 public:
  CborWriter& text(const std::string& key, const std::string& value);
  CborWriter& number(const std::string& key, std::uint64_t value);
  CborWriter& real(const std::string& key, double value);
  CborWriter& bytes(const std::string& key, const std::vector<std::byte>& value);
  CborWriter& null(const std::string& key);
  CborWriter& list(const std::string& key, const std::vector<double>& values);
  // `lead`: a byte before the map, 'c' or 'm'; 0: none.
  std::vector<std::byte> message(char lead = 0) const;

 private:
  CborWriter& key(const std::string& name);
  void head(unsigned major, std::uint64_t argument);
  std::size_t entries_ = 0;
  std::vector<std::byte> body_;
};

// lclstreamer's FastBinary, field by field.
class FastBinaryWriter {
 public:
  // `stored`: the packed form, for packing 1 and 2.
  FastBinaryWriter& add(const std::string& name, const std::string& type, const std::vector<std::int64_t>& dims,
                        const std::vector<std::byte>& raw, std::uint8_t packing = 0,
                        const std::vector<std::byte>& stored = {});
  std::vector<std::byte> message() const;

 private:
  std::uint32_t fields_ = 0;
  std::vector<std::byte> body_;
};

}  // namespace peaknet::test
