#include "feed/simulated_source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "feed/event_facts.hpp"

namespace peaknet::feed {
namespace {

constexpr int kReach = 4;  // a spot is drawn on 9 x 9 pixels
constexpr float kSigma = 1.3F;
constexpr std::uint32_t kMargin = 8;
constexpr float kApart = 12.0F;
constexpr int kFewestSpots = 15, kMostSpots = 100;
constexpr double kWeakest = 300.0, kStrongest = 3000.0;  // counts at the centre
constexpr std::size_t kBackgroundMemory = std::size_t{64} << 20;
constexpr std::uint64_t kFirstSecond = 1'700'000'000;  // a run that began in November 2023
constexpr std::uint64_t kRunHz = 120;

// SplitMix64: small, good, and the same on every machine, which the distributions of <random> are not.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed ^ mix(stream))) {}
  std::uint64_t bits() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  // [0, 1)
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((bits() >> 32) * n >> 32); }
  // Mean 0, variance 1, within 3.5: four uniform numbers added up.
  double bell() {
    const std::uint64_t b = bits();
    const auto sum = static_cast<double>((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    return (sum / 65536.0 - 2.0) * 1.7320508075688772;
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
  }
  std::uint64_t state_;
};

template <class Pixel>
void draw_background(std::byte* to, const shm::Geometry& geometry, Random random) {
  auto* pixels = reinterpret_cast<Pixel*>(to);
  const double middle_y = 0.5 * (geometry.height - 1.0), middle_x = 0.5 * (geometry.width - 1.0);
  const double radius = std::max(1.0, 0.3 * std::min(geometry.height, geometry.width));
  // The mean depends on the distance alone: one table instead of an exponential for each pixel.
  std::vector<double> mean(static_cast<std::size_t>(std::hypot(middle_y, middle_x)) + 2);
  for (std::size_t r = 0; r < mean.size(); ++r) {
    const double away = (static_cast<double>(r) - radius) / (0.35 * radius);
    mean[r] = 8.0 + 14.0 * std::exp(-away * away);
  }
  for (std::uint32_t panel = 0; panel < geometry.panels; ++panel) {
    for (std::uint32_t y = 0; y < geometry.height; ++y) {
      for (std::uint32_t x = 0; x < geometry.width; ++x) {
        const double dy = y - middle_y, dx = x - middle_x;
        const double m = mean[static_cast<std::size_t>(std::sqrt(dy * dy + dx * dx))];
        *pixels++ = static_cast<Pixel>(std::max(0.0, std::floor(m + std::sqrt(m) * random.bell() + 0.5)));
      }
    }
  }
}

// The spot's share in each pixel of its square, and where that begins.
struct Stamp {
  int y0, x0;
  std::array<float, 2 * kReach + 1> along_y, along_x;

  explicit Stamp(const SimulatedSpot& spot)
      : y0(static_cast<int>(std::lround(spot.y)) - kReach), x0(static_cast<int>(std::lround(spot.x)) - kReach) {
    constexpr float kFall = -0.5F / (kSigma * kSigma);
    for (int i = 0; i <= 2 * kReach; ++i) {
      const float dy = static_cast<float>(y0 + i) - spot.y, dx = static_cast<float>(x0 + i) - spot.x;
      along_y[static_cast<std::size_t>(i)] = spot.peak * std::exp(kFall * dy * dy);
      along_x[static_cast<std::size_t>(i)] = std::exp(kFall * dx * dx);
    }
  }
  int counts(std::size_t i, std::size_t j) const { return static_cast<int>(std::lround(along_y[i] * along_x[j])); }
};

template <class Pixel>
void draw_spots(std::byte* to, const shm::Geometry& geometry, const std::vector<SimulatedSpot>& spots) {
  auto* pixels = reinterpret_cast<Pixel*>(to);
  for (const SimulatedSpot& spot : spots) {
    const Stamp stamp(spot);
    Pixel* panel = pixels + std::size_t{spot.panel} * geometry.height * geometry.width;
    for (std::size_t i = 0; i < stamp.along_y.size(); ++i) {
      Pixel* row = panel + (static_cast<std::size_t>(stamp.y0) + i) * geometry.width + stamp.x0;
      for (std::size_t j = 0; j < stamp.along_x.size(); ++j) {
        row[j] = static_cast<Pixel>(row[j] + static_cast<Pixel>(stamp.counts(i, j)));
      }
    }
  }
}

std::size_t background_count(const shm::Geometry& geometry) {
  return std::clamp<std::size_t>(kBackgroundMemory / geometry.image_bytes(), 2, 16);
}

}  // namespace

SimulatedSource::SimulatedSource(const shm::Geometry& geometry, const SimulationOptions& options)
    : geometry_(geometry), options_(options), backgrounds_(background_count(geometry)) {
  for (std::size_t i = 0; i < backgrounds_.size(); ++i) {
    backgrounds_[i].resize(geometry.image_bytes());
    const Random random(options.seed, ~std::uint64_t{i});
    switch (geometry.pixel_type) {
      case PixelType::uint16:
        draw_background<std::uint16_t>(backgrounds_[i].data(), geometry, random);
        break;
      case PixelType::int16:
        draw_background<std::int16_t>(backgrounds_[i].data(), geometry, random);
        break;
      case PixelType::float32:
        draw_background<float>(backgrounds_[i].data(), geometry, random);
        break;
    }
  }
}

std::vector<SimulatedSpot> SimulatedSource::spots(std::uint64_t frame) const {
  std::vector<SimulatedSpot> spots;
  Random random(options_.seed, frame);
  if (random.unit() >= options_.hit_fraction) return spots;
  if (geometry_.height <= 2 * kMargin || geometry_.width <= 2 * kMargin) return spots;
  const int wanted = kFewestSpots + static_cast<int>(random.below(kMostSpots - kFewestSpots + 1));
  const auto place = [&](std::uint32_t side) {
    return static_cast<float>(kMargin + random.unit() * (side - 2.0 * kMargin - 1.0));
  };
  spots.reserve(static_cast<std::size_t>(wanted));
  for (int tries = 0; tries < 20 * wanted && spots.size() < static_cast<std::size_t>(wanted); ++tries) {
    SimulatedSpot spot;
    spot.panel = random.below(geometry_.panels);
    spot.y = place(geometry_.height);
    spot.x = place(geometry_.width);
    spot.peak = static_cast<float>(kWeakest * std::pow(kStrongest / kWeakest, random.unit()));
    const bool free = std::none_of(spots.begin(), spots.end(), [&](const SimulatedSpot& other) {
      const float dy = spot.y - other.y, dx = spot.x - other.x;
      return other.panel == spot.panel && dy * dy + dx * dx < kApart * kApart;
    });
    if (free) spots.push_back(spot);
  }
  return spots;
}

double SimulatedSource::total(const SimulatedSpot& spot) {
  const Stamp stamp(spot);
  double sum = 0.0;
  for (std::size_t i = 0; i < stamp.along_y.size(); ++i) {
    for (std::size_t j = 0; j < stamp.along_x.size(); ++j) sum += stamp.counts(i, j);
  }
  return sum;
}

Result<Filled> SimulatedSource::fill(std::uint64_t index, SlotView slot) {
  Random random(options_.seed ^ 0x5eedULL, index);
  const auto& background = backgrounds_[random.below(static_cast<std::uint32_t>(backgrounds_.size()))];
  std::memcpy(slot.image.data(), background.data(), background.size());
  const auto truth = spots(index);
  switch (geometry_.pixel_type) {
    case PixelType::uint16:
      draw_spots<std::uint16_t>(slot.image.data(), geometry_, truth);
      break;
    case PixelType::int16:
      draw_spots<std::int16_t>(slot.image.data(), geometry_, truth);
      break;
    case PixelType::float32:
      draw_spots<float>(slot.image.data(), geometry_, truth);
      break;
  }
  slot.info.event_id = index;
  slot.info.photon_energy_ev = 9500.0;
  slot.info.timestamp = timestamp_from_parts(kFirstSecond + index / kRunHz, index % kRunHz * 1'000'000'000 / kRunHz);
  slot.info.user[0] = truth.size();
  return Filled{};
}

Status write_truth(const SimulatedSource& source, const std::string& path) {
  const auto fail = [&] {
    return Error{"file.cannot-write", "cannot write the truth to " + path + ": " + std::strerror(errno),
                 "no frame was sent", "check the folder of --truth, its permissions and its free space"};
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "we"), std::fclose);
  if (!file) return fail();
  bool good = std::fprintf(file.get(), "frame,panel,y,x,intensity\n") > 0;
  for (std::uint64_t frame = 0; frame < source.size() && good; ++frame) {
    for (const SimulatedSpot& spot : source.spots(frame)) {
      good = std::fprintf(file.get(), "%llu,%u,%.4f,%.4f,%.0f\n", static_cast<unsigned long long>(frame), spot.panel,
                          static_cast<double>(spot.y), static_cast<double>(spot.x), SimulatedSource::total(spot)) > 0;
      if (!good) break;
    }
  }
  if (!good || std::fflush(file.get()) != 0) return fail();
  return {};
}

}  // namespace peaknet::feed
