#include "daemon/supervisor/calibration.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log_line.hpp"
#include "config/pixel_values.hpp"

namespace peaknet::supervisor {
namespace {

void append(std::vector<std::string>& all, std::vector<std::string>& more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

}  // namespace

void Calibration::log() const {
  if (!bad.empty()) log::info("preprocess.bad_pixels: {} are bad", bad);
  for (const auto& warning : warnings) log::warn("{}", warning);
}

Result<Calibration> read_calibration(const config::Config& config) {
  const auto& wanted = config.preprocess;
  Calibration made;
  if (wanted.pedestal.empty() && wanted.gain.empty() && wanted.bad_pixels.empty()) return made;
  const config::PixelShape shape{config.pool.shape[0], config.pool.shape[1], config.pool.shape[2]};
  auto data = std::make_shared<engine::CalibrationData>();
  const std::vector<std::pair<config::PixelDataset, std::vector<float>*>> numbers = {
      {{"pedestal", wanted.pedestal, shape}, &data->pedestal}, {{"gain", wanted.gain, shape}, &data->gain}};
  for (const auto& [dataset, values] : numbers) {
    if (dataset.where.empty()) continue;
    auto read = config::read_pixel_values(dataset);
    if (!read) return read.error();
    *values = std::move(read->values);
    append(made.warnings, read->warnings);
  }
  if (!wanted.bad_pixels.empty()) {
    auto read = config::read_bad_pixels({"bad_pixels", wanted.bad_pixels, shape});
    if (!read) return read.error();
    made.bad = read->share();
    data->bad_digest = read->digest();
    data->bad = std::move(read->bad);
    append(made.warnings, read->warnings);
  }
  made.values = std::move(data);
  return made;
}

}  // namespace peaknet::supervisor
