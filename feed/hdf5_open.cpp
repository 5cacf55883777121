#include "feed/hdf5_open.hpp"

#include <filesystem>
#include <utility>
#include <vector>

#include "base/log_line.hpp"
#include "config/readable_hdf5.hpp"

namespace peaknet::feed {
namespace {

// Where a soft or an external link leads to.
std::string target_of(hid_t file, const std::string& path, const H5L_info_t& link) {
  std::vector<char> value(link.u.val_size + 1, '\0');
  if (H5Lget_val(file, path.c_str(), value.data(), link.u.val_size, H5P_DEFAULT) < 0) return "nowhere";
  if (link.type == H5L_TYPE_SOFT) return value.data();
  unsigned flags = 0;
  const char* target = nullptr;
  const char* object = nullptr;
  if (H5Lunpack_elink_val(value.data(), link.u.val_size, &flags, &target, &object) < 0) return "nowhere";
  return std::string(object) + " of " + target;
}

}  // namespace

Error incomplete(const std::string& what, const std::string& why) {
  return {"file.incomplete", what + " is not complete: " + why, "no frame was taken from it",
          "bring what is missing to its place, or play what is there with --skip-bad"};
}

Error unreadable(const std::string& what, const std::string& why, const std::string& remedy) {
  return {"file.unreadable", "cannot read " + what + ": " + why, "no frame was taken from it", remedy};
}

Result<Hdf5Handle> open_hdf5_file(const std::string& path) {
  std::error_code trouble;
  const auto about = std::filesystem::status(path, trouble);
  if (about.type() == std::filesystem::file_type::not_found)
    return unreadable(path, "there is no such file", "check the path");
  if (std::filesystem::is_directory(about)) return unreadable(path, "it is a folder", "name the files in it");
  const config::ReadableHdf5 opened = config::open_readable_hdf5(path);
  if (opened.file < 0) return unreadable(path, opened.why, opened.remedy);
  if (opened.of_swmr_writer)
    log::info("{} is open in a SWMR writer, or was when that was killed: it is read as it is now", path);
  return Hdf5Handle(opened.file, H5Fclose);
}

Result<std::optional<Hdf5Array>> look_up(hid_t file, const std::string& file_name, const std::string& path,
                                         ExternalLinks links) {
  for (std::size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (part.empty() || part == "/") continue;
    if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) return std::optional<Hdf5Array>{};
    H5L_info_t link{};
    if (H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0)
      return unreadable(part + " of " + file_name, hdf5_complaint(), "the file is damaged");
    if (link.type == H5L_TYPE_HARD) continue;
    if (open_object(file, part, links)) continue;
    const std::string why = hdf5_complaint();
    return unreadable(part + " of " + file_name, "it is a link to " + target_of(file, part, link) + ": " + why,
                      "bring what it leads to to its place, or name another dataset with --dataset");
  }
  Hdf5Handle object = open_object(file, path, links);
  if (!object) {
    const std::string why = hdf5_complaint();
    return unreadable(path + " of " + file_name, why, config::hdf5_remedy(file_name, why));
  }
  if (H5Iget_type(object.get()) != H5I_DATASET) return std::optional<Hdf5Array>{};
  auto array = array_of(std::move(object));
  if (!array) return unreadable(path + " of " + file_name, "it has no values", "name another dataset with --dataset");
  return array;
}

}  // namespace peaknet::feed
