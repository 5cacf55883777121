// Pixel conversion: any number type into the pool's, without changing a value. Whether that works depends on the
// values, so every frame is checked while it is copied: int32 counts that fit into uint16 are converted, a 70000 among
// them is not. Float64 into float32 may be allowed to round.
//
// What detectors write where they have no count must not decide whether a frame fits. Where the pool's type cannot hold
// it, it becomes the pool's value for the same, and is counted:
//   the highest number of the source's type (a gap, a bad or a saturated pixel; 2 bytes or more), the one below it of
//   an unsigned type (an Eiger's dead pixel), both of uint32 in a wider type or a float, and infinity
//     -> 65535, 32767, or NaN in a float32 pool
//   the lowest number of a signed type (2 bytes or more), NaN and -infinity
//     -> 0, -32768, or NaN in a float32 pool; -32768 and -infinity stay what they are there
//   -1 and -2 of int32 (PILATUS' gaps and dead pixels) and int64
//     -> 0 in a uint16 pool
// peaknetd takes NaN and infinities for bad pixels.
//
// Invariant I9: what stands at a bad pixel (preprocess.bad_pixels) does not decide it either. A value that is none of
// these, and that the pool cannot hold, becomes the nearest one that it can, without a fraction in an integer pool, and
// is counted with them.
//
// Pure functions; the source may be unaligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

enum class Narrowing : std::uint8_t {
  refuse,  // float64 values that float32 does not have are misfits
  allow,   // they are rounded, and reported
};

struct Conversion {
  std::optional<std::size_t>
      misfit;                 // the first pixel whose value the pool's type cannot hold; the output is then unusable
  std::size_t misfits = 0;    // how many there are; kMostMisfits: so many or more
  bool narrowed = false;      // a float64 value was rounded
  std::size_t no_counts = 0;  // pixels that hold no count, and got the pool's value for that
};

inline constexpr std::size_t kMostMisfits = 1000;

// `pixels` numbers of type `from_type` at `from` into pixels of type `to_type` at `to`. They must not overlap. `bad`:
// not 0 for each pixel that is bad; or empty.
Conversion convert_pixels(const std::byte* from, SampleType from_type, std::byte* to, PixelType to_type,
                          std::size_t pixels, Narrowing narrowing, std::span<const std::uint8_t> bad = {});

// The value of one number, as people write it.
std::string value_text(const std::byte* from, SampleType type);

// What to say of a misfit at pixel `at`: its value, how many there are, and the pool.dtype that would hold all of the
// `pixels` numbers at `frame`. `where` names the frame and the pixel. Id frame.value. Slow; only for the way out.
Error misfit_error(const std::string& where, const std::byte* frame, std::size_t at, std::size_t pixels,
                   SampleType from_type, PixelType to_type, std::span<const std::uint8_t> bad = {});

}  // namespace peaknet::feed
