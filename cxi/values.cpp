#include "cxi/values.hpp"

namespace peaknet::writer {

std::optional<std::vector<std::string>> read_texts(hid_t file, const std::string& name) {
  const H5Handle set(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  if (H5Tis_variable_str(type.get()) <= 0 || count < 0) return std::nullopt;
  std::vector<char*> raw(static_cast<std::size_t>(count), nullptr);
  if (H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) < 0) return std::nullopt;
  std::vector<std::string> texts;
  texts.reserve(raw.size());
  for (const char* text : raw) texts.emplace_back(text == nullptr ? "" : text);
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, raw.data());
  return texts;
}

std::optional<std::string> text_attribute(hid_t file, const std::string& object, const char* name) {
  const H5Handle found(H5Aopen_by_name(file, object.c_str(), name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!found.ok()) return std::nullopt;
  const H5Handle type(H5Aget_type(found.get()), H5Tclose);
  char* text = nullptr;
  if (H5Tis_variable_str(type.get()) <= 0 || H5Aread(found.get(), type.get(), &text) < 0 || text == nullptr)
    return std::nullopt;
  std::string copy(text);
  H5free_memory(text);
  return copy;
}

}  // namespace peaknet::writer
