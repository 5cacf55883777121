#include "writer/image_sums.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

namespace peaknet::writer {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kBlock = 4096;  // pixels whose sums stay in the first caches while the images pass

constexpr std::size_t kMostImages = 4096;  // whose whole numbers cannot overflow 32 bits

using Images = std::span<const void* const>;

// All loops are simple enough for the compiler to make vectors of them. Whole numbers are added up as such, for all
// images of a block, before they go to the sums.
template <class Pixel>
requires std::is_integral_v<Pixel>
void add_block(double* __restrict sum, float* __restrict maximum, Images images, std::size_t begin, std::size_t count) {
  using Total = std::conditional_t<std::is_signed_v<Pixel>, std::int32_t, std::uint32_t>;
  std::array<Total, kBlock> total{};
  std::array<Pixel, kBlock> largest{};
  largest.fill(std::numeric_limits<Pixel>::lowest());
  for (const void* image : images) {
    const Pixel* const pixels = static_cast<const Pixel*>(image) + begin;
    for (std::size_t i = 0; i < count; ++i) total[i] += static_cast<Total>(pixels[i]);
    for (std::size_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], pixels[i]);
  }
  for (std::size_t i = 0; i < count; ++i) sum[i] += static_cast<double>(total[i]);
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(largest[i]);
    maximum[i] = value > maximum[i] ? value : maximum[i];
  }
}

template <class Pixel>
requires std::is_floating_point_v<Pixel>
void add_block(double* __restrict sum, float* __restrict maximum, Images images, std::size_t begin, std::size_t count) {
  for (const void* image : images) {
    const Pixel* const pixels = static_cast<const Pixel*>(image) + begin;
    for (std::size_t i = 0; i < count; ++i) {
      const Pixel value = pixels[i];
      const bool finite = std::fabs(value) <= std::numeric_limits<Pixel>::max();
      sum[i] += finite ? static_cast<double>(value) : 0.0;
      maximum[i] = finite && value > maximum[i] ? value : maximum[i];
    }
  }
}

template <class Value>
std::vector<Value> placed(const SlabLayout& slab, std::uint32_t height, std::uint32_t width,
                          const std::vector<Value>& frame) {
  if (is_stacked(slab, height, width)) return frame;
  std::vector<Value> all(std::size_t{slab.height} * slab.width, static_cast<Value>(kUnknown));
  fill_slab(slab, height, width, sizeof(Value), std::as_bytes(std::span(frame)),
            std::as_writable_bytes(std::span(all)));
  return all;
}

SlabLayout slab_of(const FileFacts& facts) {
  return facts.slab.places.empty() ? stacked(facts.panels, facts.height, facts.width) : facts.slab;
}

}  // namespace

ImageSums::ImageSums(const FileFacts& facts)
    : panels_(facts.panels),
      height_(facts.height),
      width_(facts.width),
      pixel_type_(facts.pixel_type),
      slab_(slab_of(facts)),
      sum_(std::size_t{panels_} * height_ * width_, 0.0),
      maximum_(sum_.size(), -std::numeric_limits<float>::infinity()),
      powder_(std::size_t{slab_.height} * slab_.width, 0),
      peakogram_(facts.laboratory),
      area_{0, 0, height_, width_} {}

bool ImageSums::fits(const FileFacts& facts) const {
  return facts.panels == panels_ && facts.height == height_ && facts.width == width_ &&
         facts.pixel_type == pixel_type_ && slab_of(facts) == slab_;
}

void ImageSums::forget(std::size_t pixel) {
  sum_[pixel] = kUnknown;
  maximum_[pixel] = std::numeric_limits<float>::quiet_NaN();
}

void ImageSums::leave_out(const std::shared_ptr<const BadMask>& bad) {
  if (bad == bad_) return;
  bad_ = bad;
  const std::size_t words_a_row = (std::size_t{width_} + 63) / 64;
  for (std::size_t i = 0; i < bad->words.size(); ++i) {
    for (std::uint64_t word = bad->words[i]; word != 0; word &= word - 1) {
      const std::size_t x = i % words_a_row * 64 + static_cast<std::size_t>(std::countr_zero(word));
      if (x < width_) forget(i / words_a_row * width_ + x);
    }
  }
}

void ImageSums::leave_out_padding(const Event& event) {
  const Area area{event.pad_top, event.pad_left, event.original_height, event.original_width};
  if (area == area_) return;
  area_ = area;
  const std::uint64_t bottom = std::uint64_t{area.top} + area.height, right = std::uint64_t{area.left} + area.width;
  for (std::size_t row = 0; row < std::size_t{panels_} * height_; ++row) {
    const std::size_t y = row % height_;
    for (std::size_t x = 0; x < width_; ++x) {
      if (y < area.top || y >= bottom || x < area.left || x >= right) forget(row * width_ + x);
    }
  }
}

void ImageSums::add_peaks(const Event& event) {
  ++hits_;
  peakogram_.add(event);
  for (const PeakRow& peak : event.peaks) {
    const float y = std::round(peak.y), x = std::round(peak.x);
    if (!(y >= 0 && x >= 0 && y < static_cast<float>(slab_.height) && x < static_cast<float>(slab_.width))) continue;
    ++powder_[static_cast<std::size_t>(y) * slab_.width + static_cast<std::size_t>(x)];
  }
}

template <class Pixel>
void ImageSums::add(std::span<const void* const> images) {
  for (std::size_t begin = 0; begin < sum_.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, sum_.size() - begin);
    add_block<Pixel>(sum_.data() + begin, maximum_.data() + begin, images, begin, count);
  }
}

void ImageSums::add_images(std::span<const void* const> images) {
  for (; !images.empty(); images = images.subspan(std::min(images.size(), kMostImages))) {
    const auto some = images.first(std::min(images.size(), kMostImages));
    summed_ += some.size();
    if (pixel_type_ == PixelType::uint16) add<std::uint16_t>(some);
    if (pixel_type_ == PixelType::int16) add<std::int16_t>(some);
    if (pixel_type_ == PixelType::float32) add<float>(some);
  }
}

RunSums ImageSums::in_slab() const {
  RunSums sums;
  sums.height = slab_.height;
  sums.width = slab_.width;
  sums.powder = powder_;
  sums.peakogram = peakogram_.all();
  sums.sum = placed(slab_, height_, width_, sum_);
  sums.maximum = placed(slab_, height_, width_, maximum_);
  for (std::size_t i = 0; i < sums.maximum.size(); ++i) {
    if (std::isfinite(sums.maximum[i])) continue;
    sums.sum[i] = kUnknown;
    sums.maximum[i] = std::numeric_limits<float>::quiet_NaN();
  }
  sums.hits = hits_;
  sums.summed = summed_;
  return sums;
}

}  // namespace peaknet::writer
