// Deflate into memory of a known size. Nothing here writes, or takes, more than it is given.
//
// WholeInflater is for data whose size is known, by libdeflate, which takes all of it in one call. Inflater
// is for the begin of a stream whose size is not known yet, by zlib, which can stop in the middle.
#pragma once

#include <libdeflate.h>
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace peaknet::feed {

enum class Deflate : std::uint8_t { raw, zlib };  // of ZIP members; of HDF5 chunks

// One thread at a time; kept from message to message.
class WholeInflater {
 public:
  WholeInflater();
  // True if `packed` is sound and gives exactly `out`, up to its last byte. `out` may be written to in any case.
  bool unpack(std::span<const std::byte> packed, Deflate format, std::span<std::byte> out);

 private:
  struct Free {
    void operator()(libdeflate_decompressor* decompressor) const { libdeflate_free_decompressor(decompressor); }
  };
  std::unique_ptr<libdeflate_decompressor, Free> decompressor_;
};

// The CRC-32 of ZIP, going on from `crc`.
std::uint32_t crc32_of(std::uint32_t crc, std::span<const std::byte> bytes);

class Inflater {
 public:
  // `packed` must outlive the inflater.
  explicit Inflater(std::span<const std::byte> packed);  // raw
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The next out.size() bytes. False if the data is damaged or ends before.
  bool read(std::span<std::byte> out);
  // True if the stream ends right here, sound, with the last packed byte.
  bool at_end();

 private:
  void refill();
  z_stream stream_{};
  std::span<const std::byte> rest_;  // not yet given to zlib
  bool good_ = false, ended_ = false;
};

}  // namespace peaknet::feed
