#include "cxi/nexus_writer.hpp"

#include <algorithm>
#include <string_view>

namespace peaknet::writer {
namespace {

constexpr hssize_t kMostInHeader = 4096;  // bytes of values that lie in the header of their field
constexpr unsigned kMostLinksInHeader = 1000;

H5Handle type_of(std::string_view text) {
  H5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  const bool ascii = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 128; });
  if (!ascii) H5Tset_cset(type.get(), H5T_CSET_UTF8);  // readers refuse such bytes else
  H5Tset_size(type.get(), std::max<std::size_t>(1, text.size()));
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  return type;
}

H5Handle scalar() { return {H5Screate(H5S_SCALAR), H5Sclose}; }

H5Handle line(hsize_t length) { return {H5Screate_simple(1, &length, nullptr), H5Sclose}; }

}  // namespace

bool NexusWriter::good(bool happened, const std::string& action) {
  if (!happened && status_) status_ = hdf5_error(action, path_);
  return happened;
}

void NexusWriter::group(const std::string& name, const std::string& nx_class) {
  if (!status_) return;
  const H5Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
  // A group that knows the order of its links keeps them in its header.
  H5Pset_link_creation_order(creation.get(), H5P_CRT_ORDER_TRACKED);
  H5Pset_link_phase_change(creation.get(), kMostLinksInHeader, kMostLinksInHeader - 1);
  H5Pset_est_link_info(creation.get(), 5, 16);
  H5Pset_obj_track_times(creation.get(), false);
  H5Handle made(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose);
  if (good(made.ok() && made.close(), "make group " + name + " in")) attribute(name, "NX_class", nx_class);
}

void NexusWriter::number(const std::string& name, double value, const std::string& units) {
  field(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, scalar(), &value);
  attribute(name, "units", units);
}

void NexusWriter::numbers(const std::string& name, std::span<const double> values, const std::string& units) {
  field(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, line(values.size()), values.data());
  attribute(name, "units", units);
}

void NexusWriter::pair(const std::string& name, std::array<std::int32_t, 2> values) {
  field(name, H5T_STD_I32LE, H5T_NATIVE_INT32, line(values.size()), values.data(), false);
}

void NexusWriter::text(const std::string& name, const std::string& value) {
  const auto type = type_of(value);
  field(name, type.get(), type.get(), scalar(), value.c_str());
}

void NexusWriter::link(const std::string& name, const std::string& target) {
  if (!status_) return;
  good(H5Lcreate_soft(target.c_str(), file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0, "make link " + name + " in");
}

void NexusWriter::same(const std::string& name, const std::string& object) {
  if (!status_) return;
  good(H5Lcreate_hard(file_, object.c_str(), file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0,
       "make link " + name + " in");
}

void NexusWriter::attribute(const std::string& object, const std::string& name, const std::string& value) {
  const auto type = type_of(value);
  any_attribute(object, name, type.get(), type.get(), scalar(), value.c_str());
}

void NexusWriter::attribute(const std::string& object, const std::string& name, const Vector3& value) {
  any_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, line(value.size()), value.data());
}

void NexusWriter::no_axes(const std::string& group, std::size_t dimensions) {
  const auto type = type_of(".");
  any_attribute(group, "axes", type.get(), type.get(), line(dimensions), std::string(dimensions, '.').data());
}

void NexusWriter::field(const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space,
                        const void* values, bool with_attributes) {
  if (!status_) return;
  const H5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation.get(), false);
  H5Pset_dset_no_attrs_hint(creation.get(), !with_attributes);  // then its header has no room for any
  const auto bytes = H5Sget_simple_extent_npoints(space.get()) * static_cast<hssize_t>(H5Tget_size(file_type));
  if (bytes <= kMostInHeader) H5Pset_layout(creation.get(), H5D_COMPACT);
  H5Handle set(H5Dcreate2(file_, name.c_str(), file_type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
               H5Dclose);
  if (!good(set.ok(), "make dataset " + name + " in")) return;
  good(H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0 && set.close(),
       "write dataset " + name + " of");
}

void NexusWriter::any_attribute(const std::string& object, const std::string& name, hid_t file_type, hid_t memory_type,
                                const H5Handle& space, const void* values) {
  if (status_) status_ = write_attribute(file_, path_, object, name, file_type, memory_type, space, values);
}

}  // namespace peaknet::writer
