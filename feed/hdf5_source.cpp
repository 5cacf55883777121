#include "feed/hdf5_source.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>

#include "feed/event_facts.hpp"
#include "feed/frame_shape.hpp"

namespace peaknet::feed {

const std::vector<std::string> kImagePlaces = {"/entry_1/data_1/data",
                                               "/entry_1/instrument_1/detector_1/data",
                                               "/entry_1/image_1/data",
                                               "/entry/data/data",
                                               "/entry/instrument/detector/data",
                                               "/data/data",
                                               "/data"};

namespace {

constexpr std::size_t kMostFacts = std::size_t{1} << 24;
constexpr std::size_t kLargestCache = std::size_t{512} << 20;
constexpr std::size_t kMostCandidates = 32;

struct EnergyPlace {
  const char* path;
  bool joule;
};
constexpr std::array<EnergyPlace, 4> kEnergyPlaces = {{{"/LCLS/photon_energy_eV", false},
                                                       {"/photon_energy_eV", false},
                                                       {"/entry_1/instrument_1/source_1/energy", true},
                                                       {"/entry_1/data_1/photon_energy_eV", false}}};

constexpr const char* kFiducialPlace = "/LCLS/fiducial";
constexpr const char* kEncoderPlace = "/LCLS/detector_1/EncoderValue";

hid_t native(SampleType type) {
  const std::array<hid_t, kSampleTypes> types = {
      H5T_NATIVE_UINT8, H5T_NATIVE_INT8,   H5T_NATIVE_UINT16, H5T_NATIVE_INT16, H5T_NATIVE_UINT32,
      H5T_NATIVE_INT32, H5T_NATIVE_UINT64, H5T_NATIVE_INT64,  H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE};
  return types[static_cast<std::size_t>(type)];
}

Error unreadable(const std::string& path, const std::string& why, const std::string& remedy) {
  return {"file.unreadable", "cannot read " + path + ": " + why, "no frame was taken from it", remedy};
}

std::string list_text(const std::vector<Hdf5Found>& found) {
  std::string text;
  for (const auto& [path, array] : found) {
    text += (text.empty() ? "" : ", ") + path + " " + std::string(name(*array.type)) + " " + shape_text(array.dims);
  }
  return text.empty() ? "none" : text;
}

Result<Hdf5Found> find_images(hid_t file, const std::string& path, const std::string& wanted,
                              const shm::Geometry& geometry) {
  if (!wanted.empty()) {
    auto array = open_array(file, wanted, ExternalLinks::follow);
    if (array) return Hdf5Found{wanted, std::move(*array)};
    return Error{"file.no-images", "there is no dataset " + wanted + " in " + path, "no frame was taken from it",
                 "name one of these with --dataset: " + list_text(image_like(file, kMostCandidates))};
  }
  for (const std::string& place : kImagePlaces) {
    auto array = open_array(file, place, ExternalLinks::follow);
    if (array && array->type && array->dims.size() >= 2) return Hdf5Found{place, std::move(*array)};
  }
  auto candidates = image_like(file, kMostCandidates);
  if (candidates.size() == 1) return std::move(candidates.front());
  const auto fits = [&](const Hdf5Found& found) { return frames_in(found.array.dims, geometry).has_value(); };
  if (std::count_if(candidates.begin(), candidates.end(), fits) == 1) {
    return std::move(*std::find_if(candidates.begin(), candidates.end(), fits));
  }
  return Error{"file.no-images",
               candidates.empty() ? "there is no image in " + path
                                  : "it is not clear which dataset of " + path + " holds the images",
               "no frame was taken from it", "name it with --dataset; image-like are: " + list_text(candidates)};
}

// Where chunks hold several frames, the cache must hold a chunk, or each frame unpacks the whole chunk again.
std::optional<Hdf5Array> reopen_with_cache(hid_t file, const std::string& path, const Hdf5Array& array) {
  const Hdf5Handle creation(H5Dget_create_plist(array.dataset.get()), H5Pclose);
  if (!creation || H5Pget_layout(creation.get()) != H5D_CHUNKED) return std::nullopt;
  std::vector<hsize_t> chunk(array.dims.size());
  if (H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) < 0) return std::nullopt;
  std::size_t bytes = size_of(*array.type);
  for (const hsize_t n : chunk) {
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(n), &bytes) || bytes > kLargestCache)
      return std::nullopt;
  }
  if (chunk.empty() || chunk.front() <= 1) return std::nullopt;
  // As many chunks as one row of frames needs.
  std::size_t across = 1;
  for (std::size_t i = 1; i < chunk.size(); ++i)
    across *= static_cast<std::size_t>((array.dims[i] + chunk[i] - 1) / chunk[i]);
  const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_chunk_cache(access.get(), 521, std::min(kLargestCache, bytes * (across + 1)), 1.0);
  Hdf5Handle again(H5Dopen2(file, path.c_str(), access.get()), H5Dclose);
  if (!again) return std::nullopt;
  return Hdf5Array{std::move(again), array.dims, array.type, array.text_bytes, array.little_endian};
}

}  // namespace

Result<std::unique_ptr<Hdf5Source>> Hdf5Source::open(const std::string& path, const std::string& dataset,
                                                     const shm::Geometry& geometry, Narrowing narrowing) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return unreadable(path, "there is no such file", "check the path");
  }
  const Hdf5Guard guard;
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file) {
    return unreadable(
        path, hdf5_complaint(),
        "is it an HDF5 or CXI file, complete, and readable for this user? A file that is still being written "
        "opens with HDF5_USE_FILE_LOCKING=FALSE in the environment");
  }
  auto found = find_images(file.get(), path, dataset, geometry);
  if (!found) return found.error();
  const std::string what = "dataset " + found->path + " of " + path;
  if (!found->array.type) {
    return Error{"frame.type", what + " holds no plain integers or IEEE floats", "no frame was taken from it",
                 "name another one with --dataset: " + list_text(image_like(file.get(), kMostCandidates))};
  }
  const auto frames = frames_in(found->array.dims, geometry);
  if (!frames) return shape_error(what, found->array.dims, geometry);
  if (const Hdf5Handle creation(H5Dget_create_plist(found->array.dataset.get()), H5Pclose); creation) {
    for (const H5Z_filter_t filter : filters_of(creation.get())) {
      if (H5Zfilter_avail(filter) <= 0) {
        return Error{"file.filter",
                     what + " is compressed with the filter " + filter_name(filter) + ", which HDF5 has not here",
                     "no frame was taken from it",
                     "install the HDF5 plugin for it and set HDF5_PLUGIN_PATH, or unpack the file with h5repack"};
      }
    }
  }
  auto source = std::unique_ptr<Hdf5Source>(new Hdf5Source(path, found->path, geometry, narrowing));
  if (auto cached = reopen_with_cache(file.get(), found->path, found->array)) found->array = std::move(*cached);
  source->file_ = std::move(file);
  source->array_ = std::move(found->array);
  source->frames_ = *frames;
  source->read_facts();
  return source;
}

Hdf5Source::~Hdf5Source() {
  const Hdf5Guard guard;
  array_.dataset = Hdf5Handle();
  file_ = Hdf5Handle();
}

void Hdf5Source::read_facts() {
  const auto per_frame = [&](const std::string& place, std::size_t values) {
    if (values == frames_) return true;
    spdlog::warn("{} of {} has {} values for {} frames: not used", place, path_, values, frames_);
    return false;
  };
  for (const auto& [place, joule] : kEnergyPlaces) {
    const auto array = open_array(file_.get(), place, ExternalLinks::follow);
    if (!array) continue;
    const auto values = read_numbers(*array, kMostFacts);
    if (!values || (values->size() != 1 && !per_frame(place, values->size()))) continue;
    for (const double value : *values) energies_.push_back(joule ? energy_from_joule(value) : energy_from_ev(value));
    break;
  }
  const auto integers = [&](const std::string& place) -> std::optional<std::vector<std::uint64_t>> {
    const auto array = open_array(file_.get(), place, ExternalLinks::follow);
    if (!array || (array->type && (*array->type == SampleType::f32 || *array->type == SampleType::f64)))
      return std::nullopt;
    auto values = read_unsigned(*array, kMostFacts);
    if (!values || !per_frame(place, values->size())) return std::nullopt;
    return values;
  };
  const auto seconds = integers("/LCLS/machineTime"), nanoseconds = integers("/LCLS/machineTimeNanoSeconds");
  if (seconds && nanoseconds) {
    for (std::size_t i = 0; i < seconds->size(); ++i) {
      timestamps_.push_back(timestamp_from_parts((*seconds)[i], (*nanoseconds)[i]));
    }
  } else if (const auto packed = integers("/LCLS/detector_1/timestamp")) {
    timestamps_ = *packed;
  }
  if (const auto array = open_array(file_.get(), kFiducialPlace, ExternalLinks::follow)) {
    const auto values = read_numbers(*array, kMostFacts);  // signed: as unsigned ones HDF5 would make 0 of -1
    if (values && per_frame(kFiducialPlace, values->size())) {
      for (const double value : *values)
        fiducials_.push_back(value >= 0 && value <= INT32_MAX ? static_cast<std::uint32_t>(value) : shm::kNoFiducial);
    }
  }
  if (const auto array = open_array(file_.get(), kEncoderPlace, ExternalLinks::follow)) {
    const auto values = read_numbers(*array, kMostFacts);
    if (values && (values->size() == 1 || per_frame(kEncoderPlace, values->size()))) {
      for (const double value : *values) encoder_values_.push_back(std::isfinite(value) ? value : std::nan(""));
    }
  }
}

Status Hdf5Source::read_frame(std::uint64_t index, std::byte* to) {
  const Hdf5Guard guard;
  const Hdf5Handle file_space(H5Dget_space(array_.dataset.get()), H5Sclose);
  // One frame fills the whole array, or one row of its first dimension.
  std::vector<hsize_t> start(array_.dims.size(), 0), count(array_.dims.begin(), array_.dims.end());
  if (array_.elements() != geometry_.pixels()) {
    start.front() = index;
    count.front() = 1;
  }
  // The memory has the same dimensions: HDF5 maps other ones pixel by pixel (ten times slower, measured).
  const Hdf5Handle memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  const bool read =
      H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0 &&
      H5Dread(array_.dataset.get(), native(*array_.type), memory_space.get(), file_space.get(), H5P_DEFAULT, to) >= 0;
  if (read) return {};
  return unreadable(dataset_ + " frame " + std::to_string(index) + " of " + path_, hdf5_complaint(),
                    "the file is damaged there; h5dump shows which frames can be read");
}

Result<Filled> Hdf5Source::fill(std::uint64_t index, SlotView slot) {
  Filled filled;
  if (*array_.type == sample_type_of(geometry_.pixel_type)) {
    if (auto read = read_frame(index, slot.image.data()); !read) return read.error();
  } else {
    const std::size_t pixels = geometry_.pixels();
    scratch_.resize(pixels * size_of(*array_.type));
    if (auto read = read_frame(index, scratch_.data()); !read) return read.error();
    const auto conversion =
        convert_pixels(scratch_.data(), *array_.type, slot.image.data(), geometry_.pixel_type, pixels, narrowing_);
    if (conversion.misfit) {
      const std::size_t at = *conversion.misfit, panel = std::size_t{geometry_.height} * geometry_.width;
      return misfit_error(
          "frame " + std::to_string(index) + " of " + path_ + ", panel " + std::to_string(at / panel) + ", y " +
              std::to_string(at % panel / geometry_.width) + ", x " + std::to_string(at % geometry_.width),
          scratch_.data() + at * size_of(*array_.type), scratch_.data(), pixels, *array_.type, geometry_.pixel_type);
    }
    filled.narrowed = conversion.narrowed;
  }
  slot.info.event_id = index;
  if (!energies_.empty()) slot.info.photon_energy_ev = energies_[energies_.size() == 1 ? 0 : index];
  if (!timestamps_.empty()) slot.info.timestamp = timestamps_[index];
  if (!fiducials_.empty()) slot.info.fiducial = fiducials_[index];
  if (!encoder_values_.empty()) slot.info.encoder_value = encoder_values_[encoder_values_.size() == 1 ? 0 : index];
  return filled;
}

}  // namespace peaknet::feed
