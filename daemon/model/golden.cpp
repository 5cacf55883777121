#include "daemon/model/golden.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "config/model_path.hpp"

namespace peaknet::model {
namespace {

constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 28U;
// bfloat16 and float16 round differently from device to device: pixels whose classes are nearly equal may flip.
constexpr std::uint64_t kFewPixels = 8;
constexpr std::uint64_t kOneOf = 1000;  // of the pixels that are marked in either

Error bad(const std::string& path, const std::string& what) {
  return {"model.bad-golden", path + " " + what, "the model was not used",
          "make both files again with models/export.py, or remove both"};
}

// A NumPy file of version 1 or 2: its type, its shape, and where its numbers begin.
struct Array {
  std::string type;
  std::vector<std::uint64_t> shape;
  std::string bytes;
  std::size_t begin = 0;
};

std::string_view value_of(std::string_view header, std::string_view key) {
  const std::size_t at = header.find("'" + std::string(key) + "':");
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size() + 3);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  const std::size_t end = header.starts_with('(') ? header.find(')') : header.find_first_of(",}");
  return end == std::string_view::npos ? std::string_view{} : header.substr(0, end);
}

Result<Array> read_array(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Array array{{}, {}, {std::istreambuf_iterator<char>(file), {}}, 0};
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(array.bytes[at]); };
  if (array.bytes.size() < 12 || !std::string_view(array.bytes).starts_with("\x93NUMPY") || byte(6) < 1 || byte(6) > 2)
    return bad(path, "is no file of numpy.save");
  const bool wide = byte(6) == 2;
  const std::size_t begin = wide ? 12 : 10;
  const std::size_t length = byte(8) + (std::size_t{byte(9)} << 8U) +
                             (wide ? (std::size_t{byte(10)} << 16U) + (std::size_t{byte(11)} << 24U) : 0);
  if (length > array.bytes.size() - begin) return bad(path, "is cut");
  const auto header = std::string_view(array.bytes).substr(begin, length);
  array.begin = begin + length;
  array.type = value_of(header, "descr");
  if (value_of(header, "fortran_order") != "False") return bad(path, "is in the order of Fortran");
  auto shape = value_of(header, "shape");
  while (!shape.empty()) {
    shape.remove_prefix(std::min(shape.find_first_of("0123456789"), shape.size()));
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(shape.data(), shape.data() + shape.size(), size);
    if (shape.empty()) break;
    if (error != std::errc{} || size == 0 || size > kMostPixels) return bad(path, "has a size that is not possible");
    array.shape.push_back(size);
    shape.remove_prefix(static_cast<std::size_t>(end - shape.data()));
  }
  return array;
}

bool holds(const Array& array, std::size_t each) {
  std::uint64_t bytes = each;
  for (const auto size : array.shape) {
    bytes *= size;
    if (bytes > kMostPixels * sizeof(float)) return false;
  }
  return array.bytes.size() - array.begin == bytes;
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

Golden::Verdict Golden::compare(const std::vector<std::uint8_t>& found) const {
  Verdict verdict;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    verdict.differ += (mask[i] != 0) != (found[i] != 0) ? 1 : 0;
    verdict.marked += mask[i] != 0 || found[i] != 0 ? 1 : 0;
  }
  verdict.allowed = kFewPixels + verdict.marked / kOneOf;
  return verdict;
}

Result<std::optional<Golden>> read_golden(const std::string& path) {
  if (is_builtin(path)) return std::optional<Golden>{};
  const std::string input_path = path + ".golden.input.npy";
  const std::string mask_path = path + ".golden.mask.npy";
  if (!exists(input_path) && !exists(mask_path)) return std::optional<Golden>{};
  if (!exists(input_path)) return bad(input_path, "is missing beside " + mask_path);
  if (!exists(mask_path)) return bad(mask_path, "is missing beside " + input_path);
  const auto input = read_array(input_path);
  if (!input) return input.error();
  const auto mask = read_array(mask_path);
  if (!mask) return mask.error();
  if (input->type != "'<f4'" || input->shape.size() != 4 || input->shape[1] != 1 || !holds(*input, sizeof(float)))
    return bad(input_path, "is no float32 array of (rows,1,H,W)");
  if (mask->type != "'|u1'" || mask->shape.size() != 3 || !holds(*mask, 1))
    return bad(mask_path, "is no uint8 array of (rows,H,W)");
  if (mask->shape[0] != input->shape[0] || mask->shape[1] != input->shape[2] || mask->shape[2] != input->shape[3])
    return bad(mask_path, "has another shape than " + input_path);
  Golden golden;
  golden.rows = static_cast<std::uint32_t>(input->shape[0]);
  golden.height = static_cast<std::uint32_t>(input->shape[2]);
  golden.width = static_cast<std::uint32_t>(input->shape[3]);
  golden.mask.assign(mask->bytes.begin() + static_cast<std::ptrdiff_t>(mask->begin), mask->bytes.end());
  golden.input.resize(golden.mask.size());
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(golden.input.data(), input->bytes.data() + input->begin, golden.input.size() * sizeof(float));
  return std::optional<Golden>(std::move(golden));
}

}  // namespace peaknet::model
