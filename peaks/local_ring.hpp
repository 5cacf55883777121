// Signal to noise of one peak against its surroundings.
//
//   snr = (sum - n * mean) / (sigma * sqrt(n))
//
// sum and n are the peak's intensity and pixel count; mean and sigma are the mean and the standard deviation
// (population) of the ring: the pixels 2 and 3 away from the peak's box (one pixel next to the box is left out: the
// peak's tail), that are in the valid part of the panel, not set in the mask, not bad, and hold a count
// (base/no_count.hpp). It is the S/N of psana's peak finders (LCLS, psalgos/PeakFinderAlgos: amp_tot / (rms *
// sqrt(npix)) with the mean of a ring subtracted), and the one that CXI files of LCLS mean by peakSNR. peakfinder8
// (Cheetah, CrystFEL) leaves out sqrt(n), so its numbers are sqrt(n) times larger.
//
// Integer pixels: sigma is at least 1/sqrt(12), the error of rounding to an integer, so a dark and quiet ring of a
// photon-counting detector gives a finite number. Float pixels: sigma as it is.
//
// 0 (as psana) where it cannot be measured: no image, fewer than 8 ring pixels, sigma 0, a box
// wider or higher than 64 pixels (nothing around it is local; this also bounds the work on any mask).
#pragma once

#include <cstdint>

#include "peaks/frame_view.hpp"
#include "peaks/peak.hpp"

namespace peaknet::writer {

inline constexpr std::uint32_t kRingGap = 1;
inline constexpr std::uint32_t kRingWidth = 2;
inline constexpr std::uint32_t kRingMinPixels = 8;
inline constexpr std::uint32_t kRingMaxBox = 64;

// The most pixels that one ring can have.
inline constexpr std::uint64_t kRingMaxPixels =
    std::uint64_t{kRingMaxBox + 2 * (kRingGap + kRingWidth)} * (kRingMaxBox + 2 * (kRingGap + kRingWidth)) -
    std::uint64_t{kRingMaxBox + 2 * kRingGap} * (kRingMaxBox + 2 * kRingGap);

// The snr of `peak`, whose other fields are complete. Adds the number of pixels looked at to `pixels_read`.
double local_snr(const MaskView& mask, const ImageView& image, const Peak& peak, std::uint64_t& pixels_read);

// Asks for the pixels that local_snr will read for a peak with this box: to be called some microseconds earlier.
void prefetch_ring(const MaskView& mask, const ImageView& image, std::uint32_t panel, std::uint32_t y0,
                   std::uint32_t x0, std::uint32_t y1, std::uint32_t x1);

}  // namespace peaknet::writer
