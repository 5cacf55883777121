// Is a path one that may never end, or never begin: a pipe, a socket, a device? Whoever opens such a thing as a file of
// images waits for ever, or reads without end. Folders, and paths where nothing is, are for the caller to tell.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace peaknet {

inline bool is_special_file(const std::string& path) {
  std::error_code trouble;
  const auto about = std::filesystem::status(path, trouble);
  return std::filesystem::exists(about) && !std::filesystem::is_regular_file(about) &&
         !std::filesystem::is_directory(about);
}
inline constexpr const char* kSpecialFile = "it is a pipe, a socket or a device, and no file";

}  // namespace peaknet
