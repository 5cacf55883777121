#include "base/log_line.hpp"

#include <spdlog/spdlog.h>

namespace peaknet::log {
namespace {

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void set_level(const std::string& level) {
  spdlog::set_level(spdlog::level::from_str(level == "error" ? "err" : level));
}

void write(Level level, fmt::string_view text, fmt::format_args arguments) {
  spdlog::logger& logger = *spdlog::default_logger_raw();
  const auto at = level_of(level);
  if (logger.should_log(at)) logger.log(at, fmt::vformat(text, arguments));
}

}  // namespace peaknet::log
