#include "cxi/run_sums.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "cxi/posix_file.hpp"
#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kPeakogramBytes = Peakogram::kRows * Peakogram::kColumns * sizeof(std::uint32_t);

Error not_sums(const std::filesystem::path& path) {
  return {"sums.format", path.string() + " has no sums of a run that this program knows", "it was left out",
          "is it from another version? docs/formats/sums.md"};
}

// The bytes of a file of sums. Made in memory: HDF5 cannot let go of a file whose disk refuses what a close writes.
Result<std::vector<std::byte>> file_image(const std::filesystem::path& path, const RunSums& sums) {
  const auto guard = use_hdf5();
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const std::size_t growth = std::max<std::size_t>(std::size_t{16} * sums.powder.size(), kPeakogramBytes);
  if (H5Pset_fapl_core(access.get(), growth, false) < 0) return hdf5_error("make", path);
  H5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file.ok()) return hdf5_error("make", path);
  H5Writer out(file.get(), path);
  put_sums(out, kSumsInFile, sums, false);
  if (auto written = out.status(); !written) return written.error();
  const ssize_t bytes = H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file.get(), nullptr, 0);
  if (bytes < 0) return hdf5_error("finish", path);
  std::vector<std::byte> image(static_cast<std::size_t>(bytes));
  if (H5Fget_file_image(file.get(), image.data(), image.size()) != bytes) return hdf5_error("finish", path);
  return image;
}

Status write_file(const std::filesystem::path& path, std::span<const std::byte> image, bool durable) {
  const auto file = PosixFile::open(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return file.error();
  if (auto written = file->write_at(0, image); !written) return written;
  return durable ? file->sync() : Status();
}

}  // namespace

void RunSums::add(const RunSums& other) {
  for (std::size_t i = 0; i < powder.size(); ++i) powder[i] += other.powder[i];
  // One without an image knows nothing, and takes nothing away.
  if (other.summed > 0 && summed == 0) {
    sum = other.sum;
    maximum = other.maximum;
  } else if (other.summed > 0) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other.sum[i];
    for (std::size_t i = 0; i < maximum.size(); ++i) {
      const bool unknown = std::isnan(maximum[i]) || std::isnan(other.maximum[i]);
      maximum[i] = unknown ? std::numeric_limits<float>::quiet_NaN() : std::max(maximum[i], other.maximum[i]);
    }
  }
  peakogram.add(other.peakogram);
  hits += other.hits;
  summed += other.summed;
  if (other.first_ns > 0) first_ns = first_ns == 0 ? other.first_ns : std::min(first_ns, other.first_ns);
  last_ns = std::max(last_ns, other.last_ns);
  spent_s += other.spent_s;
  span_s += other.span_s;
}

std::filesystem::path sums_path(const std::filesystem::path& folder, const std::string& stem, std::uint64_t writer,
                                std::uint64_t part) {
  return folder / (stem + "_w" + std::to_string(writer) + "_" + std::to_string(part) + std::string(kSumsSuffix));
}

// From its end: a run's name may have anything that a file name may have.
std::optional<std::string> stem_of_sums(std::string_view file_name) {
  const auto take_number = [&](std::string_view before) {
    const std::size_t digits = file_name.size() - (file_name.find_last_not_of("0123456789") + 1);
    file_name.remove_suffix(digits);
    if (digits == 0 || !file_name.ends_with(before)) return false;
    file_name.remove_suffix(before.size());
    return true;
  };
  if (!file_name.ends_with(kSumsSuffix)) return std::nullopt;
  file_name.remove_suffix(kSumsSuffix.size());
  if (!take_number("_") || !take_number("_w") || file_name.empty()) return std::nullopt;
  return std::string(file_name);
}

std::map<std::string, std::vector<std::filesystem::path>> sums_by_stem(const std::filesystem::path& folder) {
  std::map<std::string, std::vector<std::filesystem::path>> all;
  std::error_code failed;  // a folder that cannot be listed has none that could be shown
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (const auto stem = stem_of_sums(entry->path().filename().string())) all[*stem].push_back(entry->path());
  }
  for (auto& [stem, files] : all) std::sort(files.begin(), files.end());
  return all;
}

std::uint64_t hits_in(const std::vector<std::filesystem::path>& files) {
  const auto guard = use_hdf5();
  std::uint64_t hits = 0;
  for (const auto& path : files) {
    const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (file.ok() && number_attribute(file.get(), kSumsInFile, "format") == kFormat)
      hits += number_attribute(file.get(), kSumsInFile, "hits").value_or(0);
  }
  return hits;
}

void put_sums(H5Writer& out, const std::string& group, const RunSums& sums, bool packed) {
  const auto put = [&](const char* name, const auto& values, std::size_t width, const char* axes) {
    if (packed) {
      out.packed_dataset(group + name, values, width);
    } else {
      out.dataset(group + name, values, width);
    }
    out.attribute(group + name, "axes", axes);
  };
  put("/powder", sums.powder, sums.width, "y:x");
  put("/sum", sums.sum, sums.width, "y:x");
  put("/maximum", sums.maximum, sums.width, "y:x");
  const std::string peakogram = group + "/peakogram";
  put("/peakogram", sums.peakogram.counts, Peakogram::kColumns, "intensity:resolution");
  out.attribute(peakogram, "hits", sums.peakogram.hits);
  out.attribute(peakogram, "lacks", sums.peakogram.lacks);
  out.attribute(peakogram, "inverse_angstrom_per_column", Peakogram::kColumn);
  out.attribute(peakogram, "rows_per_octave", Peakogram::kRowsPerOctave);
  out.attribute(group, "format", kFormat);
  out.attribute(group, "hits", sums.hits);
  out.attribute(group, "summed", sums.summed);
  out.attribute(group, "first_ns", sums.first_ns);
  out.attribute(group, "last_ns", sums.last_ns);
  out.attribute(group, "spent_s", sums.spent_s);
  out.attribute(group, "span_s", sums.span_s);
}

Status write_sums(const std::filesystem::path& path, const RunSums& sums, bool durable) {
  const std::filesystem::path beginning = path.string() + std::string(kSumsNewSuffix.substr(kSumsSuffix.size()));
  const auto image = file_image(path, sums);
  auto written = image ? write_file(beginning, *image, durable) : Status(image.error());
  if (written) written = replace_name(beginning, path);
  if (!written) (void)remove_name(beginning);  // else the next one writes over it
  return written;
}

namespace {

// Of a version that made none: nothing is known, and that is said.
Peakogram read_peakogram(hid_t file, const std::string& name) {
  Peakogram read;
  auto counts = read_all<std::uint32_t>(file, name);
  if (!counts || counts->size() != read.counts.size()) {
    read.lacks = "its file is of another version of peaknet-writer";
    return read;
  }
  read.counts = std::move(*counts);
  read.hits = number_attribute(file, name, "hits").value_or(0);
  read.lacks = text_attribute(file, name, "lacks").value_or("");
  return read;
}

}  // namespace

Result<RunSums> read_sums(const std::filesystem::path& path, const std::string& group) {
  const auto guard = use_hdf5();
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  if (number_attribute(file.get(), group, "format") != kFormat) return not_sums(path);
  RunSums sums;
  const H5Handle set(H5Dopen2(file.get(), (group + "/powder").c_str(), H5P_DEFAULT), H5Dclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  std::array<hsize_t, 2> dims{};
  if (H5Sget_simple_extent_ndims(space.get()) != 2) return not_sums(path);
  H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  auto powder = read_all<std::uint32_t>(file.get(), group + "/powder");
  auto sum = read_all<double>(file.get(), group + "/sum");
  auto maximum = read_all<float>(file.get(), group + "/maximum");
  const std::uint64_t pixels = dims[0] * dims[1];
  if (!powder || !sum || !maximum || sum->size() != pixels || maximum->size() != pixels) return not_sums(path);
  sums.height = static_cast<std::uint32_t>(dims[0]);
  sums.width = static_cast<std::uint32_t>(dims[1]);
  sums.powder = std::move(*powder);
  sums.sum = std::move(*sum);
  sums.maximum = std::move(*maximum);
  sums.peakogram = read_peakogram(file.get(), group + "/peakogram");
  const auto number = [&](const char* name) { return number_attribute(file.get(), group, name).value_or(0); };
  sums.hits = number("hits");
  sums.summed = number("summed");
  sums.first_ns = static_cast<std::int64_t>(number("first_ns"));
  sums.last_ns = static_cast<std::int64_t>(number("last_ns"));
  sums.spent_s = number_attribute<double>(file.get(), group, "spent_s").value_or(0);
  sums.span_s = number_attribute<double>(file.get(), group, "span_s").value_or(0);
  return sums;
}

Result<std::optional<RunSums>> read_sums_of(const std::vector<std::filesystem::path>& files) {
  std::optional<RunSums> all;
  for (const auto& file : files) {
    auto sums = read_sums(file);
    if (!sums) return sums.error();
    if (!all) {
      all = std::move(*sums);
    } else if (all->same_shape(*sums)) {
      all->add(*sums);
    }
  }
  return all;
}

}  // namespace peaknet::writer
