// Mask -> peaks, beside the bare scan of the same masks: what the memory costs before anything is done.
//
// Frames are as an ideal network would mark them: Gaussian spots on a water ring, the mask where a spot is above an
// eighth of its height. "cold": a ring of frames larger than the caches, each used once per lap, as frames come from
// the pool; "warm": one frame again and again. Arguments: size, peaks.
//
//   peaks_bench --benchmark_filter=cold

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "writer/peaks/mask_bits.hpp"
#include "writer/peaks/peak_finder.hpp"
#include "writer/peaks/word_scan.hpp"

namespace {

using peaknet::PixelType;
using peaknet::writer::ImageView;
using peaknet::writer::Peak;
using peaknet::writer::PeakFinder;
using peaknet::writer::whole_mask;

constexpr std::size_t kColdBytes = 160 << 20;

struct Frame {
  std::uint32_t size = 0;
  std::vector<std::uint8_t> classes;
  std::vector<std::uint64_t> words;
  std::vector<std::uint16_t> pixels;
  std::vector<float> floats;
};

Frame make_frame(std::uint32_t size, int n_peaks, std::uint32_t seed) {
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
    for (int y = std::max(0, static_cast<int>(cy) - 9); y < std::min(static_cast<int>(size), static_cast<int>(cy) + 10);
         ++y) {
      for (int x = std::max(0, static_cast<int>(cx) - 9);
           x < std::min(static_cast<int>(size), static_cast<int>(cx) + 10); ++x) {
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
  peaknet::writer::pack_mask(frame.classes, 1, size, size, frame.words);
  return frame;
}

// Frames enough to make `bytes_per_frame` of each cold; their noise and places differ for the first few only.
std::vector<Frame> make_ring(std::uint32_t size, int n_peaks, std::size_t bytes_per_frame) {
  std::vector<Frame> ring;
  const std::size_t count = kColdBytes / bytes_per_frame + 1;
  for (std::uint32_t i = 0; i < std::min<std::size_t>(count, 4); ++i) ring.push_back(make_frame(size, n_peaks, i + 1));
  while (ring.size() < count) ring.push_back(ring[ring.size() - 4]);
  return ring;
}

enum class Kind { with_image, with_float_image, mask_only };

void find_peaks(benchmark::State& state, bool cold, Kind kind, peaknet::writer::SimdLevel level) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  const std::size_t image_bytes = std::size_t{size} * size * (kind == Kind::with_float_image ? 4 : 2);
  std::vector<Frame> ring = cold ? make_ring(size, static_cast<int>(state.range(1)),
                                             std::size_t{size} * size / 8 + (kind == Kind::mask_only ? 0 : image_bytes))
                                 : std::vector<Frame>{make_frame(size, static_cast<int>(state.range(1)), 1)};
  for (Frame& frame : ring) {
    if (kind == Kind::with_float_image) frame.floats.assign(frame.pixels.begin(), frame.pixels.end());
    frame.classes = {};
  }
  PeakFinder finder({.simd = level});
  std::vector<Peak> peaks;
  std::size_t at = 0;
  for (auto _ : state) {
    const Frame& frame = ring[at];
    at = at + 1 == ring.size() ? 0 : at + 1;
    ImageView image;
    if (kind == Kind::with_image) image = {frame.pixels.data(), PixelType::uint16};
    if (kind == Kind::with_float_image) image = {frame.floats.data(), PixelType::float32};
    benchmark::DoNotOptimize(finder.find(whole_mask(frame.words.data(), 1, size, size), image, peaks));
  }
  state.counters["peaks"] = static_cast<double>(peaks.size());
}

// The bare scan of the bit mask: the finder's own first step alone.
void scan_bits(benchmark::State& state, bool cold, peaknet::writer::SimdLevel level) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  const std::size_t words = std::size_t{size} * size / 64;
  const std::vector<std::uint64_t> masks(cold ? kColdBytes / 8 / words * words : words, 0);
  const auto next = peaknet::writer::next_nonzero_word(level);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(next(masks.data() + at, 0, words));
    at = at + words == masks.size() ? 0 : at + words;
  }
}

// The bare scan of a byte mask, the unit in which the bars of the project are given (48 us at 1024, 148 us at 2048).
void scan_bytes(benchmark::State& state, bool cold, peaknet::writer::SimdLevel level) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  const std::size_t words = std::size_t{size} * size / 8;
  const std::vector<std::uint64_t> masks(cold ? kColdBytes / 8 / words * words : words, 0);
  const auto next = peaknet::writer::next_nonzero_word(level);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(next(masks.data() + at, 0, words));
    at = at + words == masks.size() ? 0 : at + words;
  }
}

using Draw = bool (*)(std::uint32_t y, std::uint32_t x, std::uint32_t size);

// Masks that no network should make, each of which is some algorithm's worst case.
void hard_mask(benchmark::State& state, Draw draw) {
  constexpr std::uint32_t kSize = 1024;
  std::vector<std::uint8_t> classes(std::size_t{kSize} * kSize);
  for (std::uint32_t y = 0; y < kSize; ++y) {
    for (std::uint32_t x = 0; x < kSize; ++x) classes[std::size_t{y} * kSize + x] = draw(y, x, kSize) ? 1 : 0;
  }
  std::vector<std::uint64_t> words;
  peaknet::writer::pack_mask(classes, 1, kSize, kSize, words);
  const std::vector<std::uint16_t> pixels(std::size_t{kSize} * kSize, 3);
  PeakFinder finder;
  std::vector<Peak> peaks;
  bool too_many = false;
  for (auto _ : state) {
    too_many =
        finder.find(whole_mask(words.data(), 1, kSize, kSize), {pixels.data(), PixelType::uint16}, peaks).too_many;
  }
  state.counters["peaks"] = static_cast<double>(peaks.size());
  state.counters["too_many"] = too_many ? 1 : 0;
}

bool full(std::uint32_t, std::uint32_t, std::uint32_t) { return true; }
bool checkerboard(std::uint32_t y, std::uint32_t x, std::uint32_t) { return ((y + x) & 1) != 0; }
bool grid(std::uint32_t y, std::uint32_t x, std::uint32_t) { return y % 2 == 0 && x % 2 == 0; }
bool comb(std::uint32_t y, std::uint32_t x, std::uint32_t size) { return x % 2 == 0 || y + 1 == size; }
bool teeth_up(std::uint32_t y, std::uint32_t x, std::uint32_t) { return x % 2 == 0 || y == 0; }
bool nested_v(std::uint32_t y, std::uint32_t x, std::uint32_t size) {
  const std::uint32_t from_middle = x > size / 2 ? x - size / 2 : size / 2 - x;
  return ((from_middle + y) / 2 & 1) != 0 || y + 1 == size;
}
bool diagonals(std::uint32_t y, std::uint32_t x, std::uint32_t) { return (x + 3 * 1024 - y) % 3 == 0; }
// Short diagonals: as many boxes as possible with a ring as large as possible.
bool short_diagonals(std::uint32_t y, std::uint32_t x, std::uint32_t) {
  return (x + 3 * 1024 - y) % 3 == 0 && y % 66 < 64;
}
bool spiral(std::uint32_t y, std::uint32_t x, std::uint32_t size) {
  // Rings two apart, each opened and joined to the next one below its upper left corner.
  const std::uint32_t ring = std::min(std::min(y, x), std::min(size - 1 - y, size - 1 - x));
  if (ring % 2 == 0) return !(x == ring && y == ring + 1);
  return x == ring && y == ring + 1;
}
template <unsigned Permille>
bool noise(std::uint32_t y, std::uint32_t x, std::uint32_t size) {
  std::uint64_t h = (std::uint64_t{y} * size + x + 1) * 0x9e3779b97f4a7c15U;
  h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9U;
  return (h >> 40) % 1000 < Permille;
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Args({1024, 5})->Args({1024, 100})->Args({1024, 500})->Args({2048, 100})->Args({2048, 500});
  bench->Unit(benchmark::kMicrosecond);
}

void register_all() {
  const auto best = peaknet::writer::best_simd_level();
  for (const bool cold : {true, false}) {
    const std::string how = cold ? "cold" : "warm";
    benchmark::RegisterBenchmark(("scan_bytes/" + how).c_str(), scan_bytes, cold, best)
        ->Arg(1024)
        ->Arg(2048)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(("scan_bits/" + how).c_str(), scan_bits, cold, best)
        ->Arg(1024)
        ->Arg(2048)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(("peaks/uint16/" + how).c_str(), find_peaks, cold, Kind::with_image, best)
        ->Apply(sizes);
    benchmark::RegisterBenchmark(("peaks/float32/" + how).c_str(), find_peaks, cold, Kind::with_float_image, best)
        ->Apply(sizes);
    benchmark::RegisterBenchmark(("peaks/mask_only/" + how).c_str(), find_peaks, cold, Kind::mask_only, best)
        ->Apply(sizes);
  }
  for (const auto level : peaknet::writer::available_simd_levels()) {
    benchmark::RegisterBenchmark(("peaks/uint16/cold/" + std::string(name(level))).c_str(), find_peaks, true,
                                 Kind::with_image, level)
        ->Args({1024, 100})
        ->Args({2048, 500})
        ->Unit(benchmark::kMicrosecond);
  }
  const std::pair<const char*, Draw> hard[] = {{"full", full},
                                               {"checkerboard", checkerboard},
                                               {"grid", grid},
                                               {"comb", comb},
                                               {"teeth_up", teeth_up},
                                               {"nested_v", nested_v},
                                               {"spiral", spiral},
                                               {"diagonals", diagonals},
                                               {"short_diagonals", short_diagonals},
                                               {"noise_1%", noise<10>},
                                               {"noise_5%", noise<50>},
                                               {"noise_20%", noise<200>},
                                               {"noise_30%", noise<300>},
                                               {"noise_40%", noise<400>},
                                               {"noise_50%", noise<500>},
                                               {"noise_80%", noise<800>}};
  for (const auto& [what, draw] : hard) {
    benchmark::RegisterBenchmark((std::string("hard/") + what).c_str(), hard_mask, draw)->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
