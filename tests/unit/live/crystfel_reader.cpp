#include "tests/unit/live/crystfel_reader.hpp"

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

namespace peaknet::test {
namespace {

using Json = nlohmann::ordered_json;

// find_msgpack_kv(): strncmp(map's key, wanted, length of the map's key).
const Json* find(const Json& map, const std::string& wanted) {
  if (!map.is_object()) return nullptr;
  for (const auto& [key, value] : map.items()) {
    if (std::strncmp(key.c_str(), wanted.c_str(), key.size()) == 0) return &value;
  }
  return nullptr;
}

// via.f64 of whatever is there.
double as_double(const Json& value) {
  if (value.is_number_float()) return value.get<double>();
  if (value.is_number_integer()) return std::bit_cast<double>(value.get<std::int64_t>());
  return 0;
}

bool read_numbers(const Json* list, std::vector<double>& out) {
  if (list == nullptr || !list->is_array()) return false;
  for (const Json& value : *list) out.push_back(as_double(value));
  return true;
}

void read_pixels(const Json& image, CrystfelImage& out) {
  const Json* type = find(image, "type");
  const Json* shape = find(image, "shape");
  const Json* data = find(image, "data");
  if (type == nullptr || !type->is_string() || shape == nullptr || !shape->is_array() || shape->size() != 2 ||
      data == nullptr || !data->is_binary()) {
    out.complaint = "Data has wrong structure";
    return;
  }
  out.type = type->get<std::string>();
  out.ss = (*shape)[0].get<std::size_t>();
  out.fs = (*shape)[1].get<std::size_t>();
  out.pixels.resize(out.ss * out.fs, 0);
  const auto& bytes = data->get_binary();
  if (bytes.size() != out.pixels.size() * 4) {
    out.complaint = "Data is of another size";
    return;
  }
  for (std::size_t i = 0; i < out.pixels.size(); ++i) {
    std::int32_t whole = 0;
    float real = 0;
    std::memcpy(&whole, bytes.data() + 4 * i, 4);
    std::memcpy(&real, bytes.data() + 4 * i, 4);
    if (out.type == "<i4") out.pixels[i] = whole;
    if (out.type == "<f4") out.pixels[i] = real;
  }
  if (out.type != "<i4" && out.type != "<f4") out.complaint = "Unrecognised data type '" + out.type + "'";
}

}  // namespace

CrystfelImage read_as_crystfel(std::span<const std::uint8_t> message, const CrystfelGeometryKeys& keys) {
  CrystfelImage out;
  const Json root = Json::from_msgpack(message.begin(), message.end(), true, false);
  if (!root.is_object()) {
    out.complaint = "MessagePack unpack failed";
    return out;
  }
  const Json* image = find(root, keys.data);
  if (image == nullptr) {
    out.complaint = "Couldn't find '" + keys.data + "' in MessagePack object";
  } else {
    read_pixels(*image, out);
  }
  const Json* peaks = find(root, keys.peak_list);
  if (peaks == nullptr || !read_numbers(find(*peaks, "fs"), out.peak_fs) ||
      !read_numbers(find(*peaks, "ss"), out.peak_ss) || !read_numbers(find(*peaks, "intensity"), out.peak_intensity))
    out.complaint = "Peak list has wrong structure.";
  for (const std::string& key : keys.headers) {
    const Json* value = find(root, key);
    if (value != nullptr) out.headers[key] = value->is_string() ? value->get<std::string>() : value->dump();
  }
  return out;
}

}  // namespace peaknet::test
