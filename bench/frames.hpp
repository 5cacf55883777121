// Frames for the benchmarks of peaks and files, as an ideal network would mark them: photon counts of Gaussian spots on
// a water ring, the mask where a spot is above an eighth of its height.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace peaknet::bench {

struct Frame {
  std::uint32_t size = 0;
  std::vector<std::uint8_t> classes;  // 1 is peak
  std::vector<std::uint16_t> pixels;
};

inline Frame make_frame(std::uint32_t size, int n_peaks, std::uint32_t seed) {
  Frame frame;
  frame.size = size;
  const std::size_t count = std::size_t{size} * size;
  std::mt19937 random(seed);
  std::vector<float> mean(count);
  for (std::uint32_t y = 0; y < size; ++y) {
    for (std::uint32_t x = 0; x < size; ++x) {
      const double r = std::hypot(y - 0.51 * size, x - 0.49 * size) / size;
      mean[std::size_t{y} * size + x] =
          static_cast<float>(0.15 + 3 * std::exp(-r / 0.35) + 6 * std::exp(-0.5 * std::pow((r - 0.3) / 0.035, 2)));
    }
  }
  frame.classes.assign(count, 0);
  std::uniform_real_distribution<double> place(0, size - 1.0);
  std::uniform_real_distribution<double> width(0.8, 2.0);
  std::uniform_real_distribution<double> log_flux(std::log(60.0), std::log(6000.0));
  for (int i = 0; i < n_peaks; ++i) {
    const double cy = place(random);
    const double cx = place(random);
    const double sigma = width(random);
    const double height = std::exp(log_flux(random)) / (2 * M_PI * sigma * sigma);
    const int last = static_cast<int>(size);
    for (int y = std::max(0, static_cast<int>(cy) - 9); y < std::min(last, static_cast<int>(cy) + 10); ++y) {
      for (int x = std::max(0, static_cast<int>(cx) - 9); x < std::min(last, static_cast<int>(cx) + 10); ++x) {
        const double shape = std::exp(-0.5 * ((y - cy) * (y - cy) + (x - cx) * (x - cx)) / (sigma * sigma));
        const std::size_t at = static_cast<std::size_t>(y) * size + static_cast<std::size_t>(x);
        mean[at] += static_cast<float>(height * shape);
        if (shape > 0.12) frame.classes[at] = 1;
      }
    }
  }
  std::minstd_rand quick(seed);
  std::normal_distribution<float> noise;
  frame.pixels.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    frame.pixels[i] = static_cast<std::uint16_t>(
        std::lround(std::clamp(mean[i] + std::sqrt(mean[i]) * noise(quick), 0.0F, 65535.0F)));
  }
  return frame;
}

}  // namespace peaknet::bench
