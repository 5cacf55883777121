#include "feed/simulated_source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/process_limits.hpp"
#include "feed/event_facts.hpp"
#include "shm/copy_image.hpp"

namespace peaknet::feed {

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

// The crystal and the camera before it.
constexpr double kEnergy = 9500.0;                           // eV
constexpr std::array<double, 3> kCell = {79.0, 79.0, 38.0};  // angstrom, right angles
constexpr double kCornerResolution = 2.0;                    // angstrom, where the longer side of the camera ends
constexpr double kBandwidth = 0.0012;                        // 1/angstrom: how near to the sphere is on it
constexpr double kFallOff = 12.0;                            // angstrom^2: of the strength with resolution

struct Sides {
  std::uint32_t height, width;
};
Sides measured(const shm::Geometry& geometry, const SimulationOptions& options) {
  return {options.height > 0 ? std::min(options.height, geometry.height) : geometry.height,
          options.width > 0 ? std::min(options.width, geometry.width) : geometry.width};
}

template <class Pixel>
void draw_background(std::byte* to, const shm::Geometry& geometry, Sides sides, Random random) {
  auto* pixels = reinterpret_cast<Pixel*>(to);
  const double middle_y = 0.5 * (sides.height - 1.0), middle_x = 0.5 * (sides.width - 1.0);
  const double radius = std::max(1.0, 0.3 * std::min(sides.height, sides.width));
  // The mean depends on the distance alone: one table instead of an exponential for each pixel.
  std::vector<double> mean(static_cast<std::size_t>(std::sqrt(middle_y * middle_y + middle_x * middle_x)) + 2);
  for (std::size_t r = 0; r < mean.size(); ++r) {
    const double away = (static_cast<double>(r) - radius) / (0.35 * radius);
    mean[r] = 8.0 + 14.0 * std::exp(-away * away);
  }
  for (std::uint32_t panel = 0; panel < geometry.panels; ++panel) {
    for (std::uint32_t y = 0; y < sides.height; ++y) {
      Pixel* row = pixels + (std::size_t{panel} * geometry.height + y) * geometry.width;
      for (std::uint32_t x = 0; x < sides.width; ++x) {
        const double dy = y - middle_y, dx = x - middle_x;
        const double m = mean[static_cast<std::size_t>(std::sqrt(dy * dy + dx * dx))];
        row[x] = static_cast<Pixel>(std::max(0.0, std::floor(m + std::sqrt(m) * random.bell() + 0.5)));
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

// What the detector makes of its counts.
template <class Pixel>
void damage_frame(std::byte* to, const shm::Geometry& geometry, const std::vector<std::uint32_t>& dead,
                  std::uint32_t saturation) {
  auto* pixels = reinterpret_cast<Pixel*>(to);
  if (saturation > 0) {
    for (std::size_t i = 0; i < geometry.pixels(); ++i) {
      if (static_cast<double>(pixels[i]) > saturation) pixels[i] = static_cast<Pixel>(saturation);
    }
  }
  for (const std::uint32_t i : dead) pixels[i] = Pixel{};
}

template <class Work>
auto with_pixel(PixelType type, Work work) {
  switch (type) {
    case PixelType::uint16:
      return work(std::uint16_t{});
    case PixelType::int16:
      return work(std::int16_t{});
    case PixelType::float32:
      break;
  }
  return work(float{});
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
    with_pixel(geometry.pixel_type, [&](auto pixel) {
      draw_background<decltype(pixel)>(backgrounds_[i].data(), geometry, measured(geometry, options), random);
    });
  }
  if (options.dead_fraction <= 0.0) return;
  Random random(options.seed, ~std::uint64_t{1} << 40);
  const Sides sides = measured(geometry, options);
  for (std::uint32_t panel = 0; panel < geometry.panels; ++panel) {
    for (std::uint32_t y = 0; y < sides.height; ++y) {
      for (std::uint32_t x = 0; x < sides.width; ++x) {
        if (random.unit() < options.dead_fraction)
          dead_.push_back(static_cast<std::uint32_t>((std::size_t{panel} * geometry.height + y) * geometry.width + x));
      }
    }
  }
}

std::vector<SimulatedSpot> SimulatedSource::spots(std::uint64_t frame) const {
  Random random(options_.seed, frame);
  if (random.unit() >= options_.hit_fraction) return {};
  const Sides sides = measured(geometry_, options_);
  if (sides.height <= 2 * kMargin || sides.width <= 2 * kMargin) return {};
  return options_.crystal ? lattice(random) : anywhere(random);
}

bool SimulatedSource::room_for(const std::vector<SimulatedSpot>& spots, const SimulatedSpot& spot) const {
  return std::none_of(spots.begin(), spots.end(), [&](const SimulatedSpot& other) {
    const float dy = spot.y - other.y, dx = spot.x - other.x;
    return other.panel == spot.panel && dy * dy + dx * dx < kApart * kApart;
  });
}

std::vector<SimulatedSpot> SimulatedSource::anywhere(Random& random) const {
  const Sides sides = measured(geometry_, options_);
  std::vector<SimulatedSpot> spots;
  const int wanted = kFewestSpots + static_cast<int>(random.below(kMostSpots - kFewestSpots + 1));
  const auto place = [&](std::uint32_t side) {
    return static_cast<float>(kMargin + random.unit() * (side - 2.0 * kMargin - 1.0));
  };
  spots.reserve(static_cast<std::size_t>(wanted));
  for (int tries = 0; tries < 20 * wanted && spots.size() < static_cast<std::size_t>(wanted); ++tries) {
    SimulatedSpot spot;
    spot.panel = random.below(geometry_.panels);
    spot.y = place(sides.height);
    spot.x = place(sides.width);
    spot.peak = static_cast<float>(kWeakest * std::pow(kStrongest / kWeakest, random.unit()));
    if (room_for(spots, spot)) spots.push_back(spot);
  }
  return spots;
}

std::vector<SimulatedSpot> SimulatedSource::lattice(Random& random) const {
  // A random rotation: a quaternion of four bell-shaped numbers.
  std::array<double, 4> q{};
  double norm = 0.0;
  for (double& part : q) {
    part = random.bell();
    norm += part * part;
  }
  norm = std::sqrt(std::max(norm, 1e-9));
  for (double& part : q) part /= norm;
  const auto [w, i, j, k] = q;
  const std::array<std::array<double, 3>, 3> turn = {
      {{1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w)},
       {2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w)},
       {2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j)}}};

  const Sides sides = measured(geometry_, options_);
  const double wave = kEnergy / kElectronVoltAngstrom;  // 1/lambda; the beam goes along +z
  const double tall = static_cast<double>(sides.height) * geometry_.panels;
  const double half = 0.5 * std::max<double>(tall, sides.width);
  // Distance in pixels, so that kCornerResolution is at `half`.
  const double angle = 2.0 * std::asin(std::min(0.99, 0.5 / (wave * kCornerResolution)));
  const double distance = half / std::tan(angle);
  const double longest = 1.0 / kCornerResolution * 1.2;
  std::array<int, 3> most{};
  for (std::size_t axis = 0; axis < 3; ++axis) most[axis] = static_cast<int>(longest * kCell[axis]);

  std::vector<SimulatedSpot> found;
  for (int h = -most[0]; h <= most[0]; ++h) {
    for (int k_index = -most[1]; k_index <= most[1]; ++k_index) {
      for (int l = -most[2]; l <= most[2]; ++l) {
        const double a = h / kCell[0], b = k_index / kCell[1], c = l / kCell[2];
        const double squared = a * a + b * b + c * c;
        if (squared > longest * longest || squared == 0.0) continue;
        const double sx = turn[0][0] * a + turn[0][1] * b + turn[0][2] * c;
        const double sy = turn[1][0] * a + turn[1][1] * b + turn[1][2] * c;
        const double sz = turn[2][0] * a + turn[2][1] * b + turn[2][2] * c;
        const double away = std::sqrt(sx * sx + sy * sy + (sz + wave) * (sz + wave)) - wave;
        if (std::abs(away) > kBandwidth || sz + wave <= 0.0) continue;
        const double x = distance * sx / (sz + wave) + 0.5 * (sides.width - 1.0);
        const double y = distance * sy / (sz + wave) + 0.5 * (tall - 1.0);
        if (y < 0.0 || x < kMargin || x > sides.width - 1.0 - kMargin) continue;
        SimulatedSpot spot;
        spot.panel = static_cast<std::uint32_t>(y / sides.height);
        const double inside = y - static_cast<double>(spot.panel) * sides.height;
        if (spot.panel >= geometry_.panels || inside < kMargin || inside > sides.height - 1.0 - kMargin) continue;
        spot.y = static_cast<float>(inside);
        spot.x = static_cast<float>(x);
        // Every reflection has a strength of its own, the same in all frames.
        const std::uint64_t name = static_cast<std::uint64_t>(h + 512) << 40 |
                                   static_cast<std::uint64_t>(k_index + 512) << 20 |
                                   static_cast<std::uint64_t>(l + 512);
        Random own(options_.seed, ~name);
        const double near = away / kBandwidth;
        const double strength = -std::log(1.0 - own.unit()) * std::exp(-kFallOff * squared / 4.0) * (1.0 - near * near);
        spot.peak = static_cast<float>(std::min(kStrongest, kWeakest + 0.5 * kStrongest * strength));
        found.push_back(spot);
      }
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const SimulatedSpot& one, const SimulatedSpot& other) { return one.peak > other.peak; });
  std::vector<SimulatedSpot> spots;
  for (const SimulatedSpot& spot : found) {
    if (spots.size() == kMostSpots) break;
    if (room_for(spots, spot)) spots.push_back(spot);
  }
  return spots;
}

std::size_t SimulatedSource::background_of(std::uint64_t frame) const {
  Random random(options_.seed ^ 0x5eedULL, frame);
  return random.below(static_cast<std::uint32_t>(backgrounds_.size()));
}

SpotDamage SimulatedSource::damage(std::uint64_t frame, const SimulatedSpot& spot) const {
  const Stamp stamp(spot);
  SpotDamage damage;
  const auto& background = backgrounds_[background_of(frame)];
  for (std::size_t i = 0; i < stamp.along_y.size(); ++i) {
    for (std::size_t j = 0; j < stamp.along_x.size(); ++j) {
      const std::size_t at =
          (std::size_t{spot.panel} * geometry_.height + static_cast<std::size_t>(stamp.y0) + i) * geometry_.width +
          static_cast<std::size_t>(stamp.x0) + j;
      const double counts = stamp.counts(i, j) + with_pixel(geometry_.pixel_type, [&](auto pixel) {
                              std::memcpy(&pixel, background.data() + at * sizeof pixel, sizeof pixel);
                              return static_cast<double>(pixel);
                            });
      if (options_.saturation > 0 && counts > options_.saturation) ++damage.saturated;
      damage.dead += std::binary_search(dead_.begin(), dead_.end(), static_cast<std::uint32_t>(at)) ? 1 : 0;
    }
  }
  return damage;
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
  const auto& background = backgrounds_[background_of(index)];
  shm::copy_image(slot.image.data(), background);
  const auto truth = spots(index);
  with_pixel(geometry_.pixel_type, [&](auto pixel) {
    using Pixel = decltype(pixel);
    draw_spots<Pixel>(slot.image.data(), geometry_, truth);
    damage_frame<Pixel>(slot.image.data(), geometry_, dead_, options_.saturation);
  });
  const Sides sides = measured(geometry_, options_);
  if (sides.height != geometry_.height || sides.width != geometry_.width) {
    slot.info.original_height = sides.height;
    slot.info.original_width = sides.width;
  }
  slot.info.event_id = index;
  slot.info.photon_energy_ev = kEnergy;
  slot.info.timestamp = timestamp_from_parts(kFirstSecond + index / kRunHz, index % kRunHz * 1'000'000'000 / kRunHz);
  slot.info.user[0] = truth.size();
  return Filled{};
}

Status write_truth(const SimulatedSource& source, const std::string& path) {
  const auto fail = [&] {
    const int cause = errno;
    return Error{"file.cannot-write", "cannot write the truth to " + path + ": " + std::strerror(cause),
                 "no frame was sent",
                 remedy_for_write(cause, "check the folder of --truth, its permissions and its free space")};
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "we"), std::fclose);
  if (!file) return fail();
  bool good = std::fprintf(file.get(), "frame,panel,y,x,intensity,saturated,dead\n") > 0;
  for (std::uint64_t frame = 0; frame < source.size() && good; ++frame) {
    for (const SimulatedSpot& spot : source.spots(frame)) {
      const SpotDamage damage = source.damage(frame, spot);
      good = std::fprintf(file.get(), "%llu,%u,%.4f,%.4f,%.0f,%u,%u\n", static_cast<unsigned long long>(frame),
                          spot.panel, static_cast<double>(spot.y), static_cast<double>(spot.x),
                          SimulatedSource::total(spot), damage.saturated, damage.dead) > 0;
      if (!good) break;
    }
  }
  if (!good || std::fflush(file.get()) != 0) return fail();
  return {};
}

}  // namespace peaknet::feed
