// From preprocess.pedestal, gain and bad_pixels to the values of each pixel. Read once, before anything is started.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::service {

// Null if none of the three is set. Errors: preprocess.unreadable (the cause), preprocess.bad-size (how many numbers
// there are and how many pixels), preprocess.bad-value (how many of them are no numbers).
Result<std::shared_ptr<const engine::CalibrationData>> read_calibration(const config::Config& config);

}  // namespace peaknet::service
