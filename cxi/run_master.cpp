#include "cxi/run_master.hpp"

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <numeric>
#include <system_error>
#include <tuple>
#include <utility>

#include "cxi/column_tables.hpp"
#include "cxi/master_columns.hpp"
#include "cxi/nexus_master.hpp"
#include "cxi/posix_file.hpp"
#include "cxi/tables.hpp"
#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr std::string_view kNewSuffix = ".new";  // of a master that is being made
constexpr const char* kIdentifiers = "/entry_1/experiment_identifier";
constexpr const char* kTimestamps = "/LCLS/detector_1/timestamp";
constexpr const char* kFiles = "/entry_1/peaknet/files";
constexpr const char* kGoneNames = "/entry_1/peaknet/files/gone";
constexpr const char* kHitsBeside = "hits_beside";
constexpr std::uint64_t kFormat = 2;             // attribute of kFiles: the next master takes over the rows of one
constexpr std::uint64_t kMostRowsAtOnce = 8192;  // whose texts are in memory together

// What a master has, where every file of the run has it: columns, of which it has copies, and stacks of images and
// masks, which it shows.
constexpr std::array<const char*, 20> kColumns = {"/entry_1/result_1/nPeaks",
                                                  "/entry_1/result_1/peakXPosRaw",
                                                  "/entry_1/result_1/peakYPosRaw",
                                                  "/entry_1/result_1/peakTotalIntensity",
                                                  "/entry_1/result_1/peakMaximumValue",
                                                  "/entry_1/result_1/peakNPixels",
                                                  "/entry_1/result_1/peakSNR",
                                                  "/entry_1/result_1/peakSegPosRaw",
                                                  "/LCLS/photon_energy_eV",
                                                  kTimestamps,
                                                  "/LCLS/machineTime",
                                                  "/LCLS/machineTimeNanoSeconds",
                                                  "/LCLS/fiducial",
                                                  "/LCLS/detector_1/EncoderValue",
                                                  "/entry_1/peaknet/producer",
                                                  "/entry_1/peaknet/producer_seq",
                                                  "/entry_1/peaknet/event_id",
                                                  "/entry_1/peaknet/flags",
                                                  kSegmentationDataset,
                                                  kImageDataset};

bool is_stack(std::string_view column) { return column == kImageDataset || column == kSegmentationDataset; }

// What a stack has where its file is not there, and no image: the value of a gap or a saturated pixel, NaN, no class.
double absent(std::string_view stack, hid_t type) {
  if (stack == kSegmentationDataset) return std::numeric_limits<std::uint8_t>::max();
  if (H5Tget_class(type) == H5T_FLOAT) return std::numeric_limits<double>::quiet_NaN();
  return H5Tget_sign(type) == H5T_SGN_NONE ? std::numeric_limits<std::uint16_t>::max()
                                           : std::numeric_limits<std::int16_t>::min();
}

struct Dataset {
  std::vector<hsize_t> dims;
  H5Handle type;
};

std::optional<Dataset> dataset(hid_t file, const char* name) {
  const H5Handle set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 1) return std::nullopt;
  Dataset found{std::vector<hsize_t>(static_cast<std::size_t>(rank)), H5Handle(H5Dget_type(set.get()), H5Tclose)};
  H5Sget_simple_extent_dims(space.get(), found.dims.data(), nullptr);
  return found;
}

// A virtual dataset of many files takes some 20 KiB for each while it is open, and by default HDF5 keeps that, and up
// to 32 MiB more, until the file is closed.
// Hints: one that is not taken costs memory alone.
H5Handle sparing_memory() {
  H5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_evict_on_close(access.get(), true);
  H5AC_cache_config_t cache{};
  cache.version = H5AC__CURR_CACHE_CONFIG_VERSION;
  H5Pget_mdc_config(access.get(), &cache);
  cache.set_initial_size = true;
  cache.initial_size = cache.min_size = std::size_t{64} << 10;
  cache.max_size = std::size_t{256} << 10;
  cache.flash_incr_mode = H5C_flash_incr__off;
  H5Pset_mdc_config(access.get(), &cache);
  return access;
}

Result<H5Handle> open_for_reading(const std::filesystem::path& path) {
  const auto access = sparing_memory();
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  return file;
}

Result<std::vector<std::string>> read_some_texts(const std::filesystem::path& path, const char* name, hsize_t first,
                                                 hsize_t rows) {
  const auto file = open_for_reading(path);
  if (!file) return file.error();
  const H5Handle set(H5Dopen2(file->get(), name, H5P_DEFAULT), H5Dclose);
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  const H5Handle from(H5Dget_space(set.get()), H5Sclose);
  const H5Handle memory(H5Screate_simple(1, &rows, nullptr), H5Sclose);
  std::vector<char*> pointers(rows);
  if (H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, &first, nullptr, &rows, nullptr) < 0 ||
      H5Dread(set.get(), type.get(), memory.get(), from.get(), H5P_DEFAULT, pointers.data()) < 0)
    return hdf5_error(std::string("read ") + name + " of", path);
  std::vector<std::string> texts;
  for (const char* text : pointers) texts.emplace_back(text == nullptr ? "" : text);
  H5Dvlen_reclaim(type.get(), memory.get(), H5P_DEFAULT, pointers.data());
  return texts;
}

}  // namespace

void RunMaster::Contents::take_names(hid_t file) {
  names.assign(kColumns.begin(), kColumns.end());
  const auto of_file = column_names(file), datasets = column_datasets(file);
  for (std::size_t i = 0; i < std::min(of_file.size(), datasets.size()); ++i) {
    given.emplace_back(of_file[i], datasets[i]);
    if (std::find(names.begin(), names.end(), datasets[i]) == names.end()) names.push_back(datasets[i]);
  }
}

bool RunMaster::Contents::all_have(const std::string& column) const {
  const bool filled_up =
      std::none_of(given.begin(), given.end(), [&](const auto& one) { return one.second == column; });
  return std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
    const auto found = part.columns.find(column);
    if (found == part.columns.end()) return false;
    const auto& first = parts.front().columns.at(column);
    return filled_up || std::equal(found->second.begin() + 1, found->second.end(), first.begin() + 1, first.end());
  });
}

// What the master that is there shows; nothing where there is none, or one whose rows cannot be taken over.
std::optional<RunMaster::Before> RunMaster::before() const {
  prepare_hdf5();
  const auto file = open_for_reading(path_);
  if (!file || number_attribute(file->get(), kFiles, "format") != kFormat) return std::nullopt;
  const auto names = read_texts(file->get(), kShownNames);
  const auto events = read_all<std::uint64_t>(file->get(), kShownEvents);
  const auto images = dataset(file->get(), kImageDataset);
  if (!names || !events || !images || names->size() != events->size() ||
      std::accumulate(events->begin(), events->end(), std::uint64_t{0}) != images->dims[0])
    return std::nullopt;
  Before found;
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < names->size(); ++i) {
    found.rows[(*names)[i]] = {first, (*events)[i]};
    first += (*events)[i];
  }
  found.names = *names;
  found.hits_beside = number_attribute(file->get(), kSumsInMaster, kHitsBeside).value_or(0);
  if (const auto gone = read_texts(file->get(), kGoneNames))
    found.names.insert(found.names.end(), gone->begin(), gone->end());
  return found;
}

bool RunMaster::shows(const FilesInTime& names, const Paths& sums) const {
  const auto there = before();
  return there && there->rows.size() == names.size() && there->hits_beside == hits_in(sums) &&
         std::all_of(names.begin(), names.end(), [&](const std::string& name) { return there->rows.contains(name); });
}

Status RunMaster::make(const FilesInTime& names, const Paths& sums) const {
  if (names.empty()) return remove_name(path_);
  prepare_hdf5();
  const auto known = before();
  auto made = make(names, known, sums);
  // One that is damaged is no reason to have none.
  if (!made && known && made.error().id == "output.hdf5") made = make(names, std::nullopt, sums);
  return made;
}

Status RunMaster::make(const FilesInTime& names, const std::optional<Before>& before, const Paths& sums) const {
  const auto contents = look_at_all(names, before);
  if (!contents) return contents.error();
  if (!*contents) return remove_name(path_);
  const std::filesystem::path beginning = path_.string() + std::string(kNewSuffix);
  if (auto removed = remove_name(beginning); !removed) return removed;
  auto written = write(beginning, **contents, sums);
  // It was much, in small pieces, which HDF5 and malloc keep.
  H5garbage_collect();
  malloc_trim(0);
  if (!written) {
    (void)remove_name(beginning);  // else the next one removes it
    return written;
  }
  // Its bytes are durable, its name need not be: after a power cut the one before is there, or the next makes it.
  return replace_name(beginning, path_);
}

// Nothing where no file has images, or where their shapes or types differ.
Result<std::optional<RunMaster::Contents>> RunMaster::look_at_all(const FilesInTime& names,
                                                                  const std::optional<Before>& before) const {
  Contents contents;
  const std::string master = path_.filename().string();
  for (const auto& name : names) {
    Part part{.file = name};
    if (before && before->rows.contains(name)) {
      part.file = master;
      std::tie(part.first, part.rows) = before->rows.at(name);
    }
    if (!contents.parts.empty()) {
      Part& last = contents.parts.back();
      const bool follows = last.file == part.file && last.first + last.rows == part.first;
      if (follows && last.rows + part.rows <= kMostRowsAtOnce) {
        last.rows += part.rows;
        for (auto& [column, dims] : last.columns) dims[0] = last.rows;
        contents.shown.push_back({name, part.rows});
        continue;
      }
    }
    const auto fits = look_at(contents, part);
    if (!fits) return fits.error();
    if (!*fits) return std::optional<Contents>();
    if (part.rows == 0) continue;  // moved here by somebody
    contents.shown.push_back({name, part.rows});
    contents.parts.push_back(std::move(part));
  }
  if (contents.parts.empty()) return std::optional<Contents>();
  if (before) {
    std::copy_if(before->names.begin(), before->names.end(), std::back_inserter(contents.gone),
                 [&](const std::string& name) { return !names.contains(name); });
  }
  return std::optional(std::move(contents));
}

// False: its images are of another shape or type than the first part's. A file without images has no rows.
Result<bool> RunMaster::look_at(Contents& contents, Part& part) const {
  const auto file = open_for_reading(folder_ / part.file);
  if (!file) return file.error();
  const auto images = dataset(file->get(), kImageDataset);
  if (!images || images->dims.size() != 3) return true;
  const std::uint64_t all = images->dims[0];
  if (part.rows == 0) part.rows = all;
  const bool first = contents.parts.empty();
  if (first) contents.take_names(file->get());
  for (const std::string& column : contents.names) {
    auto found = dataset(file->get(), column.c_str());
    if (!found || found->dims[0] != all) continue;
    found->dims[0] = part.rows;
    if (first) contents.types.emplace(column, std::move(found->type));
    const auto type = contents.types.find(column);
    if (type != contents.types.end() && (first || H5Tequal(type->second.get(), found->type.get()) > 0))
      part.columns.emplace(column, std::move(found->dims));
  }
  const auto shape = part.columns.find(kImageDataset);
  if (shape == part.columns.end()) return false;
  if (!first) {
    const auto& wanted = contents.parts.front().columns.at(kImageDataset);
    if (shape->second[1] != wanted[1] || shape->second[2] != wanted[2]) return false;
  }
  const auto identifiers = dataset(file->get(), kIdentifiers);
  part.identified =
      identifiers && identifiers->dims == std::vector<hsize_t>{all} && H5Tis_variable_str(identifiers->type.get()) > 0;
  return true;
}

// Columns, mask, and what the NXmx trees say.
Status RunMaster::copy_columns(hid_t master, const std::filesystem::path& path, const Contents& contents) const {
  std::vector<CopiedColumn> columns;
  for (const std::string& name : contents.names) {
    if (is_stack(name) || !contents.all_have(name)) continue;
    std::vector<hsize_t> dims = contents.parts.front().columns.at(name);
    dims[0] = 0;
    for (const Part& part : contents.parts) {
      const auto& some = part.columns.at(name);
      dims[0] += some[0];
      for (std::size_t i = 1; i < dims.size(); ++i) dims[i] = std::max(dims[i], some[i]);
    }
    auto made = CopiedColumn::create(master, path, name, dims, contents.types.at(name).get());
    if (!made) return made.error();
    columns.push_back(std::move(*made));
  }
  JoinedMask mask;
  JoinedNexus nexus;
  for (const Part& part : contents.parts) {
    const auto from = folder_ / part.file;
    const auto file = open_for_reading(from);
    if (!file) return file.error();
    for (CopiedColumn& column : columns) {
      if (auto copied = column.append(file->get(), from, part.first, part.rows); !copied) return copied;
    }
    if (auto added = mask.add(file->get(), from, kMaskDataset); !added) return added;
    if (auto added = nexus.add(file->get(), from, part.first, part.rows); !added) return added;
  }
  for (CopiedColumn& column : columns) {
    if (auto closed = column.close(); !closed) return closed;
  }
  if (auto described = describe_columns(master, path, contents); !described) return described;
  H5Writer out(master, path);
  if (!mask.pixels().empty()) {
    out.packed_dataset(kMaskDataset, mask.pixels(), mask.width());
    out.attribute(kMaskDataset, "axes", "y:x");
  }
  if (auto written = out.status(); !written) return written;
  return nexus.write(master, path);
}

// Names, units and missing values of the columns that feed.columns asked for.
Status RunMaster::describe_columns(hid_t master, const std::filesystem::path& path, const Contents& contents) const {
  std::vector<std::string> names, datasets;
  for (const auto& [name, dataset] : contents.given) {
    if (!contents.all_have(dataset)) continue;
    names.push_back(name);
    datasets.push_back(dataset);
  }
  if (names.empty()) return {};
  const auto file = open_for_reading(folder_ / contents.parts.front().file);
  if (!file) return file.error();
  for (const auto& dataset : datasets) {
    if (auto copied = copy_column_attributes(file->get(), master, dataset, path); !copied) return copied;
  }
  H5Writer out(master, path);
  write_column_names(out, names, datasets);
  return out.status();
}

void RunMaster::write_names(H5Writer& out, const Contents& contents) const {
  std::vector<std::string> names;
  std::vector<std::uint64_t> counts;
  for (const Shown& shown : contents.shown) {
    names.push_back(shown.name);
    counts.push_back(shown.events);
  }
  out.group(kFiles);
  out.texts(kShownNames, names);
  out.dataset(kShownEvents, counts);
  out.attribute(kFiles, "format", kFormat);
  if (!contents.gone.empty()) out.texts(kGoneNames, contents.gone);
  out.attribute(kFiles, "complete", static_cast<std::uint8_t>(contents.gone.empty()));
}

// Sums that cannot be read are no reason to have no master: they are in their own files.
void RunMaster::write_sums(H5Writer& out, const Paths& sums) {
  if (sums.empty()) return;
  if (const auto all = read_sums_of(sums); all && *all) {
    put_sums(out, kSumsInMaster, **all, true);
  } else {
    out.group(kSumsInMaster);
  }
  out.attribute(kSumsInMaster, kHitsBeside, hits_in(sums));
}

Status RunMaster::write(const std::filesystem::path& path, const Contents& contents, const Paths& sums) const {
  const auto access = sparing_memory();
  H5Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file.ok()) return hdf5_error("make", path);
  if (auto copied = copy_columns(file.get(), path, contents); !copied) return copied;
  H5Writer out(file.get(), path);
  std::uint64_t events = 0;
  for (const Shown& shown : contents.shown) events += shown.events;
  for (const char* stack : {kSegmentationDataset, kImageDataset}) {
    if (!contents.all_have(stack)) continue;
    const hid_t type = contents.types.at(stack).get();
    H5Writer::VirtualDataset virtual_one{.name = stack, .parts = {}, .absent = absent(stack, type)};
    std::vector<hsize_t> dims = contents.parts.front().columns.at(stack);
    for (const Shown& shown : contents.shown) {
      dims[0] = shown.events;
      virtual_one.parts.push_back({shown.name, dims});
    }
    out.virtual_dataset(virtual_one, type);
  }
  if (contents.all_have(kTimestamps)) out.soft_link("/LCLS/timestamp", kTimestamps);
  const auto& parts = contents.parts;
  if (std::all_of(parts.begin(), parts.end(), [](const Part& part) { return part.identified; })) {
    std::vector<std::uint64_t> counts;
    for (const Part& part : parts) counts.push_back(part.rows);
    out.texts(kIdentifiers, counts, [&](std::size_t i) {
      return read_some_texts(folder_ / parts[i].file, kIdentifiers, parts[i].first, parts[i].rows);
    });
    out.soft_link("/entry_1/data_1/experiment_identifier", kIdentifiers);
    out.attribute(kImageDataset, "axes", "experiment_identifier:y:x");
  }
  write_names(out, contents);
  write_sums(out, sums);
  out.number("/cxi_version", std::int32_t{160});
  out.number("/number_of_entries", std::int32_t{1});
  out.attribute("/", "num_events", static_cast<std::int64_t>(events));
  if (auto written = out.status(); !written) return written;
  if (!file.close()) return hdf5_error("close", path);
  const auto disk = PosixFile::open(path, O_RDWR);
  if (!disk) return disk.error();
  return disk->sync();
}

}  // namespace peaknet::writer
