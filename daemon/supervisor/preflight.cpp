#include "daemon/supervisor/preflight.hpp"

#include <filesystem>

#include "base/text.hpp"

namespace peaknet::supervisor {

Status check_start(const config::Config& config, std::uint32_t writers, bool no_writer) {
  if (writers == 0 && !no_writer) {
    return Error{
        "start.no-writer", "no writer is attached to instance '" + config.instance + "': results would wait",
        "nothing was started",
        "systemctl start peaknet-writer@" + config.instance + ", or peaknetctl start --no-writer if one comes later"};
  }
  std::error_code cannot_look;
  const auto space = std::filesystem::space(config.output.dir, cannot_look);
  const std::uint64_t image = config.output.images == config::Images::none ? 0 : config.geometry().image_bytes();
  const std::uint64_t needed = image * config.output.events_per_file;
  if (!cannot_look && space.available < needed) {
    return Error{"start.no-space",
                 config.output.dir + " has " + human_bytes(space.available) + " free, and one file of " +
                     std::to_string(config.output.events_per_file) + " images takes " + human_bytes(needed),
                 "nothing was started", "make room there, or name another folder with output.dir"};
  }
  return {};
}

}  // namespace peaknet::supervisor
