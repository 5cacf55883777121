#include "writer/cxi/reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "writer/cxi/tables.hpp"

namespace peaknet::writer {
namespace {

std::optional<PixelType> pixel_type_of(const H5Handle& images) {
  const H5Handle type(H5Dget_type(images.get()), H5Tclose);
  const std::size_t bytes = H5Tget_size(type.get());
  const H5T_class_t kind = H5Tget_class(type.get());
  if (kind == H5T_FLOAT && bytes == 4) return PixelType::float32;
  if (kind != H5T_INTEGER || bytes != 2) return std::nullopt;
  return H5Tget_sign(type.get()) == H5T_SGN_NONE ? PixelType::uint16 : PixelType::int16;
}

// The dimensions of a dataset; empty if it is not one of at most three.
std::vector<hsize_t> dimensions(const H5Handle& set) {
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 1 || rank > 3) return {};
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  return dims;
}

// Reads row `row` (of the first dimension) of a dataset.
bool read_row(const H5Handle& set, const std::vector<hsize_t>& dims, std::size_t row, hid_t memory_type, void* out) {
  std::vector<hsize_t> start(dims.size(), 0);
  std::vector<hsize_t> count = dims;
  start[0] = row;
  count[0] = 1;
  hsize_t total = 1;
  for (const hsize_t n : count) total *= n;
  const H5Handle from(H5Dget_space(set.get()), H5Sclose);
  const H5Handle into(H5Screate_simple(1, &total, nullptr), H5Sclose);
  return H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0 &&
         H5Dread(set.get(), memory_type, into.get(), from.get(), H5P_DEFAULT, out) >= 0;
}

}  // namespace

Error CxiReader::not_readable(const std::string& what) const {
  return {"cxi.not-readable", path_.string() + ": " + what, "", "is it a finished .cxi file of peaknet-writer?"};
}

Result<CxiReader> CxiReader::open(const std::filesystem::path& path) {
  prepare_hdf5();
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  H5Handle images(H5Dopen2(file.get(), kImageDataset, H5P_DEFAULT), H5Dclose);
  CxiReader reader(path, std::move(file), std::move(images));
  if (!reader.images_.ok()) return reader.not_readable(std::string("there is no dataset ") + kImageDataset);
  const auto dims = dimensions(reader.images_);
  const auto type = pixel_type_of(reader.images_);
  if (dims.size() != 3 || !type || dims[1] > UINT32_MAX || dims[2] > UINT32_MAX) {
    return reader.not_readable(std::string(kImageDataset) + " is not (events, y, x) of uint16, int16 or float32");
  }
  reader.events_ = dims[0];
  reader.height_ = static_cast<std::uint32_t>(dims[1]);
  reader.width_ = static_cast<std::uint32_t>(dims[2]);
  reader.pixel_type_ = *type;
  const H5Handle panels(H5Aopen_by_name(reader.file_.get(), "/entry_1/peaknet", "panels", H5P_DEFAULT, H5P_DEFAULT),
                        H5Aclose);
  std::uint32_t count = 1;
  if (panels.ok() && H5Aread(panels.get(), H5T_NATIVE_UINT32, &count) >= 0 && count > 0 &&
      reader.height_ % count == 0 && H5Lexists(reader.file_.get(), "/entry_1/peaknet/panel_places", H5P_DEFAULT) <= 0) {
    reader.panels_ = count;
  }
  return reader;
}

bool CxiReader::has_images() const { return H5Dget_storage_size(images_.get()) > 0; }

std::optional<std::vector<double>> CxiReader::numbers(const std::string& name, std::size_t row) const {
  const H5Handle set(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const auto dims = dimensions(set);
  if (dims.empty() || dims.size() > 2 || row >= dims[0]) return std::nullopt;
  std::vector<double> values(dims.size() == 2 ? dims[1] : 1);
  if (!read_row(set, dims, row, H5T_NATIVE_DOUBLE, values.data())) return std::nullopt;
  return values;
}

std::string CxiReader::identifier(std::size_t row) const {
  const H5Handle set(H5Dopen2(file_.get(), "/entry_1/experiment_identifier", H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return "";
  const auto dims = dimensions(set);
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  if (dims.size() != 1 || row >= dims[0] || H5Tis_variable_str(type.get()) <= 0) return "";
  char* text = nullptr;
  if (!read_row(set, dims, row, type.get(), &text) || text == nullptr) return "";
  std::string copy(text);
  H5free_memory(text);
  return copy;
}

Result<ReadEvent> CxiReader::read(std::size_t index) const {
  if (index >= events_) {
    return Error{
        "cxi.no-event",
        path_.string() + " has " + std::to_string(events_) + " events, there is no event " + std::to_string(index), "",
        "events count from 0"};
  }
  ReadEvent event;
  event.identifier = identifier(index);
  event.pixels.resize(std::size_t{height_} * width_ * size_of(pixel_type_));
  if (!read_row(images_, {events_, height_, width_}, index, memory_type_of(pixel_type_), event.pixels.data())) {
    return hdf5_error("read image " + std::to_string(index) + " of", path_);
  }
  if (H5Lexists(file_.get(), kSegmentationDataset, H5P_DEFAULT) > 0) {
    const H5Handle masks(H5Dopen2(file_.get(), kSegmentationDataset, H5P_DEFAULT), H5Dclose);
    event.segmentation.resize(std::size_t{height_} * width_);
    if (dimensions(masks) != std::vector<hsize_t>{events_, height_, width_})
      return not_readable(std::string(kSegmentationDataset) + " is not as large as the images");
    if (!read_row(masks, {events_, height_, width_}, index, H5T_NATIVE_UINT8, event.segmentation.data()))
      return hdf5_error("read mask " + std::to_string(index) + " of", path_);
  }
  const std::string group = "/entry_1/result_1/";
  const auto count = numbers(group + "nPeaks", index);
  if (!count) return not_readable("there is no " + group + "nPeaks");
  struct Column {
    const char* name;
    float PeakRow::*value;
    bool needed;
  };
  constexpr std::array<Column, 7> kColumns = {{{"peakXPosRaw", &PeakRow::x, true},
                                               {"peakYPosRaw", &PeakRow::y, true},
                                               {"peakTotalIntensity", &PeakRow::total, true},
                                               {"peakMaximumValue", &PeakRow::maximum, false},
                                               {"peakNPixels", &PeakRow::n_pixels, false},
                                               {"peakSNR", &PeakRow::snr, false},
                                               {"peakSegPosRaw", &PeakRow::panel, false}}};
  for (const auto& [name, value, needed] : kColumns) {
    const auto cells = numbers(group + name, index);
    const auto peaks = static_cast<std::size_t>(std::max(0.0, count->front()));
    if (!cells && !needed) continue;
    if (!cells || cells->size() < peaks)
      return not_readable(group + name + " is missing or too narrow for " + std::to_string(peaks) + " peaks");
    event.peaks.resize(peaks);
    for (std::size_t i = 0; i < peaks; ++i) event.peaks[i].*value = static_cast<float>((*cells)[i]);
  }
  if (const auto energy = numbers("/LCLS/photon_energy_eV", index); energy && std::isfinite(energy->front())) {
    event.photon_energy_ev = energy->front();
  }
  return event;
}

}  // namespace peaknet::writer
