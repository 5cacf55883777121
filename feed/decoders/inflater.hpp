// Inflater: deflate by zlib into memory of a known size. Never writes, and never takes, more than it is given.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace peaknet::feed {

class Inflater {
 public:
  enum class Format : std::uint8_t { raw, zlib };  // of ZIP members; of HDF5 chunks

  // `packed` must outlive the inflater.
  Inflater(std::span<const std::byte> packed, Format format);
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
