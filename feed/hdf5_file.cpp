#include "feed/hdf5_file.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

#include "config/readable_hdf5.hpp"

namespace peaknet::feed {
namespace {

constexpr int kDeepest = 16;
constexpr std::uint64_t kImageSide = 16;

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// Called by HDF5 before it opens the file that an external link names; a negative value ends the traversal.
herr_t refuse_link(const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) { return -1; }

Hdf5Handle access_properties(ExternalLinks links) {
  Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  if (links == ExternalLinks::refuse) H5Pset_elink_cb(access.get(), refuse_link, nullptr);
  return access;
}

bool is_half(hid_t type) {
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  return H5Tget_size(type) == 2 &&
         H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 && sign == 15 &&
         exponent == 10 && exponent_bits == 5 && mantissa == 0 && mantissa_bits == 10 && H5Tget_ebias(type) == 15;
}

std::optional<Hdf5Array> examine(Hdf5Handle dataset) {
  const Hdf5Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (!space || !type) return std::nullopt;
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 0 || H5Sget_simple_extent_type(space.get()) == H5S_NULL) return std::nullopt;
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  if (rank > 0 && H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) < 0) return std::nullopt;

  Hdf5Array array;
  array.dims.assign(dims.begin(), dims.end());
  array.little_endian = H5Tget_order(type.get()) != H5T_ORDER_BE;
  const std::size_t bytes = H5Tget_size(type.get());
  // A type may use a part of its bytes only; then its bytes are not the numbers of a C type.
  const bool whole = H5Tget_class(type.get()) == H5T_FLOAT || H5Tget_precision(type.get()) == 8 * bytes;
  if (H5Tget_class(type.get()) == H5T_INTEGER && whole) {
    array.type = integer_type(bytes, H5Tget_sign(type.get()) == H5T_SGN_2);
  } else if (H5Tget_class(type.get()) == H5T_FLOAT) {
    const hid_t ieee = bytes == 4 ? (array.little_endian ? H5T_IEEE_F32LE : H5T_IEEE_F32BE)
                                  : (array.little_endian ? H5T_IEEE_F64LE : H5T_IEEE_F64BE);
    if (H5Tequal(type.get(), ieee) > 0) array.type = float_type(bytes);
    array.half = is_half(type.get());
  }
  constexpr std::size_t kLongestText = 64;
  if (H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0 && bytes <= kLongestText)
    array.text_bytes = bytes;
  array.dataset = std::move(dataset);
  return array;
}

void collect_images(hid_t group, const std::string& path, int depth, std::size_t at_most,
                    std::vector<Hdf5Found>& found) {
  H5G_info_t info{};
  if (depth > kDeepest || H5Gget_info(group, &info) < 0) return;
  const hsize_t links = std::min<hsize_t>(info.nlinks, 1000);
  for (hsize_t i = 0; i < links && found.size() < at_most; ++i) {
    std::array<char, 256> name{};
    const ssize_t length =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    if (length <= 0 || static_cast<std::size_t>(length) >= name.size()) continue;
    H5L_info_t link{};
    if (H5Lget_info(group, name.data(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD) continue;
    Hdf5Handle object(H5Oopen(group, name.data(), H5P_DEFAULT), H5Oclose);
    if (!object) continue;
    const std::string child = path + "/" + name.data();
    const H5I_type_t kind = H5Iget_type(object.get());
    if (kind == H5I_GROUP) {
      collect_images(object.get(), child, depth + 1, at_most, found);
    } else if (kind == H5I_DATASET) {
      auto array = examine(std::move(object));
      if (!array || !array->type) continue;
      const auto& dims = array->dims;
      if (dims.size() < 2 || dims.size() > 4) continue;
      if (dims[dims.size() - 1] < kImageSide || dims[dims.size() - 2] < kImageSide) continue;
      found.push_back({child, std::move(*array)});
    }
  }
}

template <class Number>
std::optional<std::vector<Number>> read_all(const Hdf5Array& array, std::size_t at_most, hid_t type) {
  const std::uint64_t count = array.elements();
  if (!array.type || count > at_most) return std::nullopt;
  std::vector<Number> values(count);
  if (count > 0 && H5Dread(array.dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    return std::nullopt;
  }
  return values;
}

}  // namespace

Hdf5Guard::Hdf5Guard() : lock_(library_mutex()) { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string hdf5_complaint() { return config::hdf5_said(); }

std::uint64_t Hdf5Array::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : dims) {
    if (__builtin_mul_overflow(count, n, &count)) return std::numeric_limits<std::uint64_t>::max();
  }
  return count;
}

std::optional<Hdf5Array> open_array(hid_t file, const std::string& path, ExternalLinks links) {
  const Hdf5Handle access = access_properties(links);
  Hdf5Handle dataset(H5Dopen2(file, path.c_str(), access.get()), H5Dclose);
  if (!dataset) return std::nullopt;
  return examine(std::move(dataset));
}

bool named_as_no_image(const std::string& path) {
  std::string name = path;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::array kWords = {"mask",       "flat",        "pedestal", "gain",    "bad",     "dark",
                                 "status",     "noise",       "sigma",    "error",   "offset",  "lookup",
                                 "threshold",  "background",  "calib",    "map",     "powder",  "virtual_sum",
                                 "efficiency", "pixel_x",     "pixel_y",  "x_pixel", "y_pixel", "corrections",
                                 "weights",    "segmentation"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](const char* word) { return name.find(word) != std::string::npos; });
}

std::vector<std::string> names_in(hid_t file, const std::string& group, std::size_t at_most) {
  std::vector<std::string> names;
  const Hdf5Handle opened(H5Gopen2(file, group.c_str(), H5P_DEFAULT), H5Gclose);
  H5G_info_t info{};
  if (!opened || H5Gget_info(opened.get(), &info) < 0) return names;
  for (hsize_t i = 0; i < std::min<hsize_t>(info.nlinks, at_most); ++i) {
    std::array<char, 256> name{};
    const ssize_t length =
        H5Lget_name_by_idx(opened.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    if (length > 0 && static_cast<std::size_t>(length) < name.size()) names.emplace_back(name.data());
  }
  return names;
}

std::optional<Hdf5Found> open_first(hid_t file, std::span<const std::string> paths, ExternalLinks links, Texts texts) {
  for (const std::string& path : paths) {
    if (auto array = open_array(file, path, links);
        array && (array->type || (texts == Texts::allow && array->text_bytes > 0)))
      return Hdf5Found{path, std::move(*array)};
  }
  return std::nullopt;
}

std::vector<Hdf5Found> image_like(hid_t file, std::size_t at_most) {
  std::vector<Hdf5Found> found;
  const Hdf5Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
  if (root) collect_images(root.get(), "", 0, at_most, found);
  return found;
}

std::optional<std::vector<double>> read_numbers(const Hdf5Array& array, std::size_t at_most) {
  return read_all<double>(array, at_most, H5T_NATIVE_DOUBLE);
}

std::optional<std::vector<std::uint64_t>> read_unsigned(const Hdf5Array& array, std::size_t at_most) {
  return read_all<std::uint64_t>(array, at_most, H5T_NATIVE_UINT64);
}

std::string filter_name(H5Z_filter_t filter) {
  switch (filter) {
    case H5Z_FILTER_DEFLATE:
      return "gzip";
    case H5Z_FILTER_SHUFFLE:
      return "shuffle";
    case H5Z_FILTER_FLETCHER32:
      return "fletcher32";
    case H5Z_FILTER_SZIP:
      return "szip";
    case H5Z_FILTER_NBIT:
      return "nbit";
    case H5Z_FILTER_SCALEOFFSET:
      return "scaleoffset";
    case 32000:
      return "lzf";
    case 32001:
      return "blosc";
    case 32004:
      return "lz4";
    case 32008:
      return "bitshuffle";
    case 32013:
      return "zfp";
    case 32015:
      return "zstd";
    case 32026:
      return "blosc2";
    default:
      return "number " + std::to_string(filter);
  }
}

std::vector<H5Z_filter_t> filters_of(hid_t creation_properties) {
  std::vector<H5Z_filter_t> filters;
  const int count = H5Pget_nfilters(creation_properties);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    filters.push_back(
        H5Pget_filter2(creation_properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, nullptr));
  }
  return filters;
}

std::vector<unsigned> filter_values(hid_t creation_properties, unsigned index) {
  std::vector<unsigned> values(32);
  unsigned flags = 0;
  std::size_t count = values.size();
  if (H5Pget_filter2(creation_properties, index, &flags, &count, values.data(), 0, nullptr, nullptr) < 0) return {};
  values.resize(std::min(count, values.size()));
  return values;
}

}  // namespace peaknet::feed
