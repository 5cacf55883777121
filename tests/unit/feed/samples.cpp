#include "tests/unit/feed/samples.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::test {

Samples::Samples(std::string folder, std::unique_ptr<feed::Hdf5Source> originals)
    : folder_(std::move(folder)), originals_(std::move(originals)) {}

std::optional<Samples> Samples::find() {
  const char* folder = std::getenv("PEAKNET_SHARED_DATA");
  if (folder == nullptr) return std::nullopt;
  const std::string originals = std::string(folder) + "/real/lcls_cspad_thermolysin_4ev.h5";
  const std::string messages = std::string(folder) + "/wire";
  if (!std::filesystem::exists(originals) || !std::filesystem::exists(messages)) return std::nullopt;
  return Samples(messages, must(feed::Hdf5Source::open(originals, "/data", {8, 32, 185, 388, PixelType::int16},
                                                       feed::Narrowing::refuse)));
}

std::vector<std::byte> Samples::message(const std::string& name) const { return read_file(folder_ + "/" + name); }

std::vector<float> Samples::image(std::uint64_t event, std::size_t panels) const {
  const auto counts = fill(*originals_, event).pixels<std::int16_t>();
  return {counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(panels * kPanel)};
}

double Samples::energy(std::uint64_t event) const { return fill(*originals_, event).info.photon_energy_ev; }

std::uint64_t Samples::timestamp(std::uint64_t event) {
  constexpr std::array<std::uint64_t, 4> kMilliseconds = {401, 601, 701, 801};
  return std::uint64_t{1362118138} << 32 | kMilliseconds.at(event) * 1'000'000;
}

}  // namespace peaknet::test
