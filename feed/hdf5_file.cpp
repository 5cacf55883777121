#include "feed/hdf5_file.hpp"

#include <algorithm>
#include <limits>

#include "config/readable_hdf5.hpp"

namespace peaknet::feed {
namespace {

// Called by HDF5 before it opens the file that an external link names; a negative value ends the traversal.
herr_t refuse_link(const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) { return -1; }

bool is_half(hid_t type) {
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  return H5Tget_size(type) == 2 &&
         H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 && sign == 15 &&
         exponent == 10 && exponent_bits == 5 && mantissa == 0 && mantissa_bits == 10 && H5Tget_ebias(type) == 15;
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

std::string hdf5_complaint() { return config::hdf5_said(); }

std::uint64_t Hdf5Array::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : dims) {
    if (__builtin_mul_overflow(count, n, &count)) return std::numeric_limits<std::uint64_t>::max();
  }
  return count;
}

Hdf5Handle open_object(hid_t group, const std::string& path, ExternalLinks links) {
  Hdf5Handle access(H5Pcreate(H5P_LINK_ACCESS), H5Pclose);
  if (links == ExternalLinks::follow) {
    config::follow_no_special_file(access.get());
  } else {
    H5Pset_elink_cb(access.get(), refuse_link, nullptr);
  }
  Hdf5Handle object(H5Oopen(group, path.c_str(), access.get()), H5Oclose);
  if (object) return object;
  const hid_t why = H5Eget_current_stack();  // closing the list would wipe it out
  access.close();
  H5Eset_current_stack(why);
  return object;
}

std::optional<Hdf5Array> array_of(Hdf5Handle dataset) {
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

std::optional<Hdf5Array> open_array(hid_t file, const std::string& path, ExternalLinks links) {
  Hdf5Handle object = open_object(file, path, links);
  if (!object || H5Iget_type(object.get()) != H5I_DATASET) return std::nullopt;
  return array_of(std::move(object));
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

}  // namespace peaknet::feed
