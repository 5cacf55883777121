#include "config/unit_folders.hpp"

#include <cstdlib>
#include <filesystem>

namespace peaknet::config {

std::string output_folder(const std::string& file) {
  if (auto given = folder_of_unit("STATE_DIRECTORY"); !given.empty()) return given;
  const std::filesystem::path path = std::filesystem::path(file).lexically_normal();
  if (path.parent_path() == kConfigFolder) return (std::filesystem::path(kStateFolder) / path.stem()).string();
  return (path.parent_path() / "peaknet_output").string();
}

std::string folder_of_unit(const char* variable) {
  const char* given = std::getenv(variable);
  if (given == nullptr || given[0] != '/') return "";
  const std::string text = given;
  return text.substr(0, text.find(':'));
}

}  // namespace peaknet::config
