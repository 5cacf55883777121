#include "daemon/service/calibration.hpp"

#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace peaknet::service {
namespace {

// Closes what HDF5 opened.
class Opened {
 public:
  Opened(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

Error unusable(const std::string& id, const std::string& key, const std::string& where, const std::string& what) {
  return {id, "preprocess." + key + ": " + where + " " + what, "nothing was started",
          "FILE:DATASET of an HDF5 file with one number for each pixel of an event"};
}

// The numbers of a dataset as `Number`, one for each of `pixels`. Nothing for an empty `where`.
template <class Number>
Status read(const std::string& key, const std::string& where, std::uint64_t pixels, hid_t type,
            std::vector<Number>& values) {
  if (where.empty()) return {};
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // the cause is told by us
  const std::size_t colon = where.rfind(':');
  const Opened file(H5Fopen(where.substr(0, colon).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok())
    return unusable("preprocess.unreadable", key, where, "cannot be read: the file does not open as HDF5");
  const Opened dataset(H5Dopen2(file.get(), where.substr(colon + 1).c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.ok()) return unusable("preprocess.unreadable", key, where, "cannot be read: there is no such dataset");
  const Opened space(H5Dget_space(dataset.get()), H5Sclose);
  const hssize_t count = space.ok() ? H5Sget_simple_extent_npoints(space.get()) : -1;
  if (count < 0 || static_cast<std::uint64_t>(count) != pixels) {
    return unusable("preprocess.bad-size", key, where,
                    "has " + std::to_string(count) + " numbers, an event has " + std::to_string(pixels) + " pixels");
  }
  values.resize(pixels);
  if (H5Dread(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    return unusable("preprocess.unreadable", key, where, "cannot be read as numbers");
  return {};
}

Status check_finite(const std::string& key, const std::string& where, const std::vector<float>& values) {
  const auto wrong = std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (wrong == 0) return {};
  return unusable("preprocess.bad-value", key, where,
                  "has " + std::to_string(wrong) + " values that are no numbers; such pixels belong into bad_pixels");
}

}  // namespace

Result<std::shared_ptr<const engine::CalibrationData>> read_calibration(const config::Config& config) {
  const auto& wanted = config.preprocess;
  if (wanted.pedestal.empty() && wanted.gain.empty() && wanted.bad_pixels.empty())
    return std::shared_ptr<const engine::CalibrationData>{};
  const std::uint64_t pixels = std::uint64_t{config.pool.shape[0]} * config.pool.shape[1] * config.pool.shape[2];
  auto data = std::make_shared<engine::CalibrationData>();
  std::vector<int> bad;
  for (const auto& outcome :
       {read("pedestal", wanted.pedestal, pixels, H5T_NATIVE_FLOAT, data->pedestal),
        read("gain", wanted.gain, pixels, H5T_NATIVE_FLOAT, data->gain),
        read("bad_pixels", wanted.bad_pixels, pixels, H5T_NATIVE_INT, bad),
        check_finite("pedestal", wanted.pedestal, data->pedestal), check_finite("gain", wanted.gain, data->gain)}) {
    if (!outcome) return outcome.error();
  }
  for (const int value : bad) data->bad.push_back(value != 0 ? 1 : 0);
  return std::shared_ptr<const engine::CalibrationData>(std::move(data));
}

}  // namespace peaknet::service
