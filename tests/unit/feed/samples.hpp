// The messages that lclstreamer's own serializers made, and the HDF5 file that they were made from. Both lie outside of
// the repository (PEAKNET_SHARED_DATA); tests that need them are skipped where they are absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "feed/hdf5_source.hpp"

namespace peaknet::test {

class Samples {
 public:
  static constexpr std::size_t kPanel = std::size_t{185} * 388;

  // nullopt: they are not here.
  static std::optional<Samples> find();

  std::vector<std::byte> message(const std::string& name) const;
  // Detector counts of an event's first panels: the messages hold one or two of the 32.
  std::vector<float> image(std::uint64_t event, std::size_t panels) const;
  // eV, from the file's own wavelength in angstrom.
  double energy(std::uint64_t event) const;
  // From "2013-03-01T06:08Z58.401" and so on.
  static std::uint64_t timestamp(std::uint64_t event);

 private:
  Samples(std::string folder, std::unique_ptr<feed::Hdf5Source> originals);
  std::string folder_;
  std::unique_ptr<feed::Hdf5Source> originals_;
};

}  // namespace peaknet::test
