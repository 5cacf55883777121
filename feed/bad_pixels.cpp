#include "feed/bad_pixels.hpp"

#include <string>

#include "base/log_line.hpp"
#include "config/pixel_values.hpp"
#include "feed/hdf5_file.hpp"
#include "shm/models.hpp"

namespace peaknet::feed {

Result<BadPixels> read_bad_pixels(const config::Config& config, shm::Producer& producer) {
  const std::string& where = config.preprocess.bad_pixels;
  if (where.empty()) return BadPixels{};
  const shm::Geometry& frames = producer.geometry();
  const Hdf5Guard guard;
  auto read = config::read_bad_pixels({"bad_pixels", where, {frames.panels, frames.height, frames.width}});
  if (!read) return read.error();
  const shm::ModelRecord* model = shm::newest_model(producer.participant().layout());
  const auto of_model = model != nullptr ? model->bad_pixels.load_whole() : std::nullopt;
  if (of_model && *of_model != read->digest()) {
    const Error differs{"preprocess.other-mask",
                        "the network leaves out other bad pixels (digest " + (of_model->empty() ? "none" : *of_model) +
                            ") than the feed knows (" + read->digest() + ", " + where + ")",
                        "the feed takes frames by its own",
                        "give both programs the same configuration; if the file was changed, restart peaknetd"};
    log::warn("{}", differs.text());
    producer.participant().record_error(differs);
  }
  return std::move(read->bad);
}

}  // namespace peaknet::feed
