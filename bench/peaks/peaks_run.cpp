// One measurement of the peak finder for scripts/bench, as one line of JSON, and the masks that its peers get too.
//
//   peaks_run --make FOLDER SIZE PEAKS COUNT  writes mask_N.u8 (one byte a pixel) and image_N.u16
//   peaks_run --find FOLDER SIZE [ROUNDS]     all frames of the folder, again and again in a ring larger than the
//   caches:
//                                             {"us", "p99_us", "peaks", "scan_bytes_us", "scan_bits_us"}
//   peaks_run --hard                          the masks of 1024 x 1024 that cost most: {"name": us, ...}
//
// scan: the bare scan of the byte mask, the unit of the project's targets, and of the bit mask that the finder reads.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/frames.hpp"
#include "peaks/mask_bits.hpp"
#include "peaks/peak_finder.hpp"
#include "peaks/word_scan.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kColdBytes = 160 << 20;

template <class T>
std::vector<T> read(const std::filesystem::path& path) {
  std::vector<T> values(std::filesystem::file_size(path) / sizeof(T));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T))))
    throw std::runtime_error("cannot read " + path.string());
  return values;
}

template <class T>
void write(const std::filesystem::path& path, const std::vector<T>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

void make(const std::filesystem::path& folder, std::uint32_t size, int peaks, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto frame = bench::make_frame(size, peaks, i + 1);
    write(folder / ("mask_" + std::to_string(i) + ".u8"), frame.classes);
    write(folder / ("image_" + std::to_string(i) + ".u16"), frame.pixels);
  }
}

// The time of each call of `work(i)` for i = 0 .. count - 1, `rounds` times over, in microseconds, sorted.
template <class Work>
std::vector<double> times(std::size_t count, int rounds, Work&& work) {
  std::vector<double> spans;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto begin = Clock::now();
      work(i);
      spans.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
  }
  std::sort(spans.begin(), spans.end());
  return spans;
}

void find(const std::filesystem::path& folder, std::uint32_t size, int rounds) {
  struct Input {
    std::vector<std::uint64_t> words;
    std::vector<std::uint16_t> pixels;
  };
  std::vector<Input> ring;
  for (std::uint32_t i = 0; std::filesystem::exists(folder / ("mask_" + std::to_string(i) + ".u8")); ++i) {
    Input input;
    writer::pack_mask(read<std::uint8_t>(folder / ("mask_" + std::to_string(i) + ".u8")), 1, size, size, input.words);
    input.pixels = read<std::uint16_t>(folder / ("image_" + std::to_string(i) + ".u16"));
    ring.push_back(std::move(input));
  }
  if (ring.empty()) throw std::runtime_error("no mask in " + folder.string());
  const std::size_t pixels = std::size_t{size} * size;
  for (std::size_t i = 0; ring.size() < kColdBytes / (pixels * 2 + pixels / 8) + 1; ++i) ring.push_back(Input(ring[i]));

  writer::PeakFinder finder;
  std::vector<writer::Peak> peaks;
  std::size_t found = 0;
  const auto spans = times(ring.size(), rounds, [&](std::size_t i) {
    finder.find(writer::whole_mask(ring[i].words.data(), 1, size, size), {ring[i].pixels.data(), PixelType::uint16},
                peaks);
    found = std::max(found, peaks.size());
  });
  const auto next = writer::next_nonzero_word(writer::best_simd_level());
  const auto scan = [&](std::size_t words) {
    const std::vector<std::uint64_t> masks(kColdBytes / 8 / words * words, 0);
    std::size_t never = 0;
    const auto scanned = times(masks.size() / words, rounds, [&](std::size_t i) {
      never += next(masks.data() + i * words, 0, words) == words ? 0 : 1;
    });
    if (never > 0) throw std::runtime_error("the scan found what is not there");
    return scanned[scanned.size() / 2];
  };
  std::printf("{\"us\": %.2f, \"p99_us\": %.2f, \"peaks\": %zu, \"scan_bytes_us\": %.2f, \"scan_bits_us\": %.2f}\n",
              spans[spans.size() / 2], spans[spans.size() * 99 / 100], found, scan(pixels / 8), scan(pixels / 64));
}

std::uint64_t scrambled(std::uint32_t y, std::uint32_t x) {
  std::uint64_t h = (std::uint64_t{y} * 1024 + x + 1) * 0x9e3779b97f4a7c15U;
  h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9U;
  return h >> 40;
}

void hard() {
  constexpr std::uint32_t kSize = 1024;
  using Draw = bool (*)(std::uint32_t y, std::uint32_t x);
  const std::map<std::string, Draw> masks = {
      {"empty", [](std::uint32_t, std::uint32_t) { return false; }},
      {"full", [](std::uint32_t, std::uint32_t) { return true; }},
      {"checkerboard", [](std::uint32_t y, std::uint32_t x) { return ((y + x) & 1) != 0; }},
      {"grid", [](std::uint32_t y, std::uint32_t x) { return y % 2 == 0 && x % 2 == 0; }},
      {"comb", [](std::uint32_t y, std::uint32_t x) { return x % 2 == 0 || y + 1 == kSize; }},
      {"diagonals", [](std::uint32_t y, std::uint32_t x) { return (x + 3 * kSize - y) % 3 == 0; }},
      {"short diagonals", [](std::uint32_t y, std::uint32_t x) { return (x + 3 * kSize - y) % 3 == 0 && y % 66 < 64; }},
      {"spiral",
       [](std::uint32_t y, std::uint32_t x) {
         const std::uint32_t ring = std::min(std::min(y, x), std::min(kSize - 1 - y, kSize - 1 - x));
         return ring % 2 == 0 ? !(x == ring && y == ring + 1) : x == ring && y == ring + 1;
       }},
      {"random 5 %", [](std::uint32_t y, std::uint32_t x) { return scrambled(y, x) % 100 < 5; }},
      {"random 30 %", [](std::uint32_t y, std::uint32_t x) { return scrambled(y, x) % 100 < 30; }},
      {"random 50 %", [](std::uint32_t y, std::uint32_t x) { return scrambled(y, x) % 100 < 50; }},
      {"random 80 %", [](std::uint32_t y, std::uint32_t x) { return scrambled(y, x) % 100 < 80; }}};
  const std::vector<std::uint16_t> pixels(std::size_t{kSize} * kSize, 3);
  const char* comma = "{";
  for (const auto& [name, draw] : masks) {
    std::vector<std::uint8_t> classes(pixels.size());
    for (std::uint32_t y = 0; y < kSize; ++y) {
      for (std::uint32_t x = 0; x < kSize; ++x) classes[std::size_t{y} * kSize + x] = draw(y, x) ? 1 : 0;
    }
    std::vector<std::uint64_t> words;
    writer::pack_mask(classes, 1, kSize, kSize, words);
    writer::PeakFinder finder;
    std::vector<writer::Peak> peaks;
    const auto spans = times(1, 21, [&](std::size_t) {
      finder.find(writer::whole_mask(words.data(), 1, kSize, kSize), {pixels.data(), PixelType::uint16}, peaks);
    });
    std::printf("%s\"%s\": %.1f", comma, name.c_str(), spans[spans.size() / 2]);
    comma = ", ";
  }
  std::printf("}\n");
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 5 && arguments[0] == "--make") {
      make(arguments[1], static_cast<std::uint32_t>(std::stoul(arguments[2])), std::stoi(arguments[3]),
           static_cast<std::uint32_t>(std::stoul(arguments[4])));
    } else if (arguments.size() >= 3 && arguments[0] == "--find") {
      find(arguments[1], static_cast<std::uint32_t>(std::stoul(arguments[2])),
           arguments.size() > 3 ? std::stoi(arguments[3]) : 3);
    } else if (arguments.size() == 1 && arguments[0] == "--hard") {
      hard();
    } else {
      std::fprintf(stderr, "peaks_run: see the head of bench/peaks/peaks_run.cpp\n");
      return 2;
    }
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "peaks_run: %s\n", problem.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) { return peaknet::bench::run(argc, argv); }
