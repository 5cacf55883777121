// From preprocess.pedestal, gain and bad_pixels to the values of each pixel. Read once, before anything is started.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::supervisor {

struct Calibration {
  std::shared_ptr<const engine::CalibrationData> values;  // null if none of the three is set
  std::string bad;                                        // "12 of 6144 pixels (0.2 %)"; "" without bad_pixels
  std::vector<std::string> warnings;

  void log() const;
};

// Errors: those of config/pixel_values.hpp.
Result<Calibration> read_calibration(const config::Config& config);

}  // namespace peaknet::supervisor
