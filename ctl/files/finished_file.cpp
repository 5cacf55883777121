#include "ctl/files/finished_file.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/special_file.hpp"
#include "cxi/checksum.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/tables.hpp"
#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kOrigin = "/entry_1/peaknet";

// The rows whose stored images (or masks) are not the bytes that were written.
std::set<std::size_t> damaged_images(const H5Handle& images, const std::vector<std::uint32_t>& sums) {
  std::set<std::size_t> damaged;
  std::vector<std::byte> bytes;
  for (std::size_t row = 0; row < sums.size(); ++row) {
    const std::array<hsize_t, 3> offset{row, 0, 0};
    hsize_t size = 0;
    std::uint32_t mask = 0;
    bool whole = H5Dget_chunk_storage_size(images.get(), offset.data(), &size) >= 0 && size > 0;
    if (whole) {
      bytes.resize(size);
      whole = H5Dread_chunk(images.get(), H5P_DEFAULT, offset.data(), &mask, bytes.data()) >= 0 &&
              checksum(bytes) == sums[row];
    }
    if (!whole) damaged.insert(row);
  }
  return damaged;
}

// A column of peaks that has not room for as many as `counts` says, if there is one.
std::optional<std::string> narrow_column(hid_t file, const std::vector<std::int32_t>& counts) {
  for (const PeakColumn& column : kPeakColumns) {
    const auto cells = read_all<float>(file, std::string(kPeakGroup) + column.name);
    const std::size_t width = cells && !counts.empty() ? cells->size() / counts.size() : 0;
    const bool wide = std::all_of(counts.begin(), counts.end(),
                                  [&](std::int32_t n) { return n >= 0 && static_cast<std::size_t>(n) <= width; });
    if (!cells || !wide) return column.name;
  }
  return std::nullopt;
}

Error no_file(const std::filesystem::path& path) {
  return {"audit.not-ours", path.string() + ": " + kSpecialFile, "it was left out of the audit", "move it elsewhere"};
}

}  // namespace

Result<FinishedFile> read_finished_file(const std::filesystem::path& path, bool with_images) {
  const auto guard = use_hdf5();
  if (is_special_file(path.string())) return no_file(path);
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) {
    const Error why = hdf5_error("open", path);
    return Error{"audit.not-readable", why.what, "", "look at the disk; its events are counted as missing"};
  }
  const auto not_readable = [&](const std::string& what) {
    return Error{"audit.not-readable", path.string() + ": " + what, "",
                 "look at the disk; its events are counted as missing"};
  };
  FinishedFile found;
  const auto uuid = number_attribute(file.get(), kOrigin, "instance_uuid");
  const auto producers = read_all<std::uint64_t>(file.get(), std::string(kOrigin) + "/producer");
  const auto sequences = read_all<std::uint64_t>(file.get(), std::string(kOrigin) + "/producer_seq");
  if (!uuid || !producers || !sequences) {
    return Error{"audit.not-ours", path.string() + " does not say which frames it holds",
                 "it was left out of the audit",
                 "it was not written by this version of peaknet-writer; move it elsewhere"};
  }
  found.instance_uuid = *uuid;
  found.instance = text_attribute(file.get(), kOrigin, "instance").value_or("");
  found.events_lost = number_attribute(file.get(), kOrigin, "events_lost").value_or(0);
  const std::string run = text_attribute(file.get(), kOrigin, "run").value_or("");
  const std::size_t events = producers->size();

  const H5Handle images(H5Dopen2(file.get(), kImageDataset, H5P_DEFAULT), H5Dclose);
  const H5Handle space(H5Dget_space(images.get()), H5Sclose);
  std::array<hsize_t, 3> dims{};
  if (!images.ok() || H5Sget_simple_extent_ndims(space.get()) != 3 ||
      H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) < 0) {
    return not_readable("it has no images");
  }
  const auto counts = read_all<std::int32_t>(file.get(), "/entry_1/result_1/nPeaks");
  if (!counts || counts->size() != events || sequences->size() != events || dims[0] != events)
    return not_readable("its tables do not have one row for each of its " + std::to_string(dims[0]) + " images");
  if (const auto lacks = narrow_column(file.get(), *counts)) return not_readable(*lacks + " is missing or too narrow");
  found.times = read_all<std::uint64_t>(file.get(), "/LCLS/detector_1/timestamp").value_or(found.times);
  found.event_ids = read_all<std::uint64_t>(file.get(), std::string(kOrigin) + "/event_id").value_or(found.event_ids);
  found.times.resize(events);  // none of the file's events has one
  if (found.event_ids.size() != events) return not_readable("its table of event ids has not one row for each image");
  for (std::size_t row = 0; row < events; ++row) found.events.push_back({run, (*producers)[row], (*sequences)[row]});
  if (with_images) {
    const H5Handle masks(H5Dopen2(file.get(), kSegmentationDataset, H5P_DEFAULT), H5Dclose);
    std::set<std::size_t> damaged;
    for (const auto& [name, stack] :
         {std::pair{"/image_checksum", &images}, std::pair{"/segmentation_checksum", &masks}}) {
      const auto sums = read_all<std::uint32_t>(file.get(), std::string(kOrigin) + name);
      if (!sums) continue;  // there are none
      if (sums->size() != events) return not_readable("it has not one checksum for each image");
      damaged.merge(damaged_images(*stack, *sums));
    }
    found.damaged.assign(damaged.begin(), damaged.end());
  }
  return found;
}

}  // namespace peaknet::writer
