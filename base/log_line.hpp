// A line of the program's log: a text with places as fmt has them, checked against the arguments by the compiler.
//
// base/log.hpp says where lines go; below the level of the log a line costs no formatting. Files that log include this
// and not spdlog, whose header makes the compiler instantiate all of fmt in each: two seconds a file.
//
// Threads: any. Errors: none; a line that cannot be written is counted, and the number is said later.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <string>

namespace peaknet::log {

enum class Level : std::uint8_t { debug, info, warn, error };

// "trace" to "error", as log.level has them, or "off": what is below it is not written from now on.
void set_level(const std::string& level);

void write(Level level, fmt::string_view text, fmt::format_args arguments);

template <class... Arguments>
void debug(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  write(Level::debug, text, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void info(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  write(Level::info, text, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void warn(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  write(Level::warn, text, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void error(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  write(Level::error, text, fmt::make_format_args(arguments...));
}

}  // namespace peaknet::log
