#include "cxi/nexus_master.hpp"

#include <algorithm>

#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

// A text of fixed length; "" where there is none.
std::string fixed_text(hid_t file, const std::string& name) {
  const H5Handle set(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return "";
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  std::string text(H5Tget_size(type.get()), '\0');
  const bool fixed = H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0;
  if (!fixed || H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0) return "";
  return text.c_str();
}

std::string fixed_attribute(hid_t file, const char* object, const char* name) {
  const H5Handle found(H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!found.ok()) return "";
  const H5Handle type(H5Aget_type(found.get()), H5Tclose);
  std::string text(H5Tget_size(type.get()), '\0');
  if (H5Tis_variable_str(type.get()) != 0 || H5Aread(found.get(), type.get(), text.data()) < 0) return "";
  return text.c_str();
}

// Values of some events, from one for each of them or one for all.
bool add_values(hid_t file, const char* name, std::uint64_t first, std::uint64_t rows, std::vector<double>& to) {
  const auto values = read_all<double>(file, name);
  if (!values || (values->size() != 1 && first + rows > values->size())) return false;
  if (values->size() == 1 && first + rows > 1) {
    to.insert(to.end(), rows, values->front());
  } else {
    const auto begin = values->begin() + static_cast<std::ptrdiff_t>(first);
    to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(rows));
  }
  return true;
}

bool is_scalar(hid_t file, const char* name) {
  const H5Handle set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  return H5Sget_simple_extent_ndims(space.get()) == 0;
}

void keep_one_if_same(std::vector<double>& values) {
  if (std::all_of(values.begin(), values.end(), [&](double value) { return value == values.front(); }))
    values.resize(1);
}

}  // namespace

Status JoinedNexus::add(hid_t file, const std::filesystem::path& path, std::uint64_t first, std::uint64_t rows) {
  if (!unknown_.empty()) return {};
  const std::string name = path.filename().string();
  if (H5Lexists(file, "/entry", H5P_DEFAULT) <= 0) {
    const std::string why = fixed_attribute(file, "/", kNexusUnknown);
    unknown_ = why.empty() ? name + " has no NXmx tree" : why;
    return {};
  }
  const std::string digest = fixed_attribute(file, kNexusDetector, kNexusDigest);
  const bool one = is_scalar(file, kNexusWavelength);
  if (first_.empty()) {
    first_ = path;
    digest_ = digest;
    said_.instrument = fixed_text(file, "/entry/instrument/name");
    said_.one_wavelength = one;
  }
  if (digest.empty() || digest != digest_) {
    unknown_ = name + " and " + first_.filename().string() + " have different geometries";
    return {};
  }
  said_.one_wavelength = said_.one_wavelength && one;
  const std::string start = fixed_text(file, "/entry/start_time");
  if (said_.start.empty() || start < said_.start) said_.start = start;
  said_.end = std::max(said_.end, fixed_text(file, "/entry/end_time_estimated"));
  if (!add_values(file, kNexusWavelength, first, rows, said_.wavelengths) ||
      !add_values(file, kNexusDistance, first, rows, said_.distances)) {
    return hdf5_error("read the wavelengths and distances of", path);
  }
  return {};
}

Status JoinedNexus::write(hid_t master, const std::filesystem::path& path, const shm::RunFacts& run) {
  NexusWriter out(master, path);
  const auto& lengths = said_.wavelengths;
  if (said_.one_wavelength &&
      std::any_of(lengths.begin(), lengths.end(), [&](double length) { return length != lengths.front(); }))
    said_.one_wavelength = false;  // the geometry file was changed
  if (!unknown_.empty()) {
    out.attribute("/", kNexusUnknown, unknown_);
    return out.status();
  }
  keep_one_if_same(said_.distances);
  said_.run_facts = run;
  write_nexus_entry(out, said_);
  if (!out.status()) return out.status();
  const H5Handle file(H5Fopen(first_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", first_);
  if (H5Ocopy(file.get(), kNexusDetector, master, kNexusDetector, H5P_DEFAULT, H5P_DEFAULT) < 0)
    return hdf5_error("copy the detector of " + first_.string() + " into", path);
  // Its own: one file's events may have another distance than those of the next.
  if (H5Ldelete(master, kNexusDistance, H5P_DEFAULT) < 0) return hdf5_error("set the distance in", path);
  write_nexus_distance(out, said_.distances);
  return out.status();
}

}  // namespace peaknet::writer
