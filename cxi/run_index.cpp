#include "cxi/run_index.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <sstream>
#include <system_error>

#include "cxi/column_tables.hpp"
#include "cxi/file_name.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/master_columns.hpp"
#include "cxi/posix_file.hpp"
#include "cxi/tables.hpp"

namespace peaknet::writer {
namespace {

constexpr std::string_view kNewSuffix = ".new";  // of a list or a master that is being made
constexpr const char* kIdentifiers = "/entry_1/experiment_identifier";
constexpr const char* kTimestamps = "/LCLS/detector_1/timestamp";

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

std::optional<Dataset> look_at(hid_t file, const char* name) {
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
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return hdf5_error("read", path);
  return file;
}

Result<std::vector<std::string>> read_texts(const std::filesystem::path& path, const char* name) {
  const auto file = open_for_reading(path);
  if (!file) return file.error();
  const H5Handle set(H5Dopen2(file->get(), name, H5P_DEFAULT), H5Dclose);
  const H5Handle type(H5Dget_type(set.get()), H5Tclose);
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  std::vector<char*> pointers(static_cast<std::size_t>(std::max<hssize_t>(count, 0)));
  if (count < 1 || H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0)
    return hdf5_error(std::string("read ") + name + " of", path);
  std::vector<std::string> texts;
  for (const char* text : pointers) texts.emplace_back(text == nullptr ? "" : text);
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
  return texts;
}

// The lock of the folder, waited for: whoever has it makes an index, which takes a moment.
Result<PosixFile> lock_folder(const std::filesystem::path& folder) {
  auto opened = PosixFile::open(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return opened;
  while (::flock(opened->fd(), LOCK_EX) != 0) {
    if (errno != EINTR) return disk_error("lock", folder, errno);
  }
  return opened;
}

// Its bytes are durable, its name need not be: after a power cut the one before is there, or the next writer makes it.
Status put_in_place(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code failed;
  std::filesystem::rename(from, to, failed);
  if (failed) return disk_error("rename " + from.filename().string() + " to", to, failed.value());
  return {};
}

}  // namespace

// Of each file only the dimensions are kept: a few KiB.
struct RunIndex::Source {
  std::string name;
  std::uint64_t events = 0;
  std::map<std::string, std::vector<hsize_t>> columns;  // those of the types of the first file's
  bool identified = false;                              // a text for each event
};

struct RunIndex::Sources {
  std::vector<Source> files;
  std::vector<std::string> names;                          // of all columns: ours, and those of feed.columns ...
  std::vector<std::pair<std::string, std::string>> given;  // ... with their names, as the first file has them
  std::map<std::string, H5Handle> types;                   // of the first file's columns

  void take_names(hid_t file) {
    names.assign(kColumns.begin(), kColumns.end());
    const auto of_file = column_names(file), datasets = column_datasets(file);
    for (std::size_t i = 0; i < std::min(of_file.size(), datasets.size()); ++i) {
      given.emplace_back(of_file[i], datasets[i]);
      if (std::find(names.begin(), names.end(), datasets[i]) == names.end()) names.push_back(datasets[i]);
    }
  }
  // Rows of peaks are filled up with zeros to the longest; those of given columns must be alike.
  bool all_have(const std::string& column) const {
    const bool filled_up =
        std::none_of(given.begin(), given.end(), [&](const auto& one) { return one.second == column; });
    return std::all_of(files.begin(), files.end(), [&](const Source& source) {
      const auto found = source.columns.find(column);
      if (found == source.columns.end()) return false;
      const auto& first = files.front().columns.at(column);
      return filled_up || std::equal(found->second.begin() + 1, found->second.end(), first.begin() + 1, first.end());
    });
  }
};

std::map<std::string, FilesInTime> RunIndex::finished() const {
  std::map<std::string, FilesInTime> by_stem;
  std::error_code failed;  // a folder that cannot be listed has no finished files that could be shown
  for (std::filesystem::directory_iterator entry(folder_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    const auto ours = parse_file_name(name);
    if (ours && ours->stem.starts_with(prefix_)) by_stem[ours->stem].insert(name);
  }
  return by_stem;
}

Status RunIndex::files_finished(std::span<const std::filesystem::path> paths, Clock::time_point now) {
  for (const auto& path : paths) {
    const std::string name = path.filename().string();
    const auto ours = parse_file_name(name);
    if (!ours) continue;
    unlisted_[ours->stem].insert(name);
    need_master_[ours->stem] = now;
    current_ = ours->stem;
  }
  if (unlisted_.empty()) return {};
  const auto locked = lock_folder(folder_);
  if (!locked) return locked.error();
  while (!unlisted_.empty()) {
    const auto& [stem, names] = *unlisted_.begin();
    if (auto made = add_to_list(stem, names); !made) return made;
    unlisted_.erase(unlisted_.begin());
  }
  return {};
}

std::optional<RunIndex::Clock::time_point> RunIndex::next_due() const {
  std::optional<Clock::time_point> due;
  if (!unlisted_.empty()) due = Clock::time_point();
  for (const auto& [stem, last_file] : need_master_) {
    if (stem != current_ && (!due || last_file + kRunQuiet < *due)) due = last_file + kRunQuiet;
  }
  return due;
}

Status RunIndex::make_due_masters(Clock::time_point now) {
  return make_masters([&](const std::string& stem, Clock::time_point last_file) {
    return stem != current_ && last_file + kRunQuiet <= now;
  });
}

Status RunIndex::make_masters() {
  return make_masters([](const std::string&, Clock::time_point) { return true; });
}

template <class Which>
Status RunIndex::make_masters(const Which& which) {
  for (auto next = need_master_.begin(); next != need_master_.end();) {
    const auto& [stem, last_file] = *next;
    if (!which(stem, last_file)) {
      ++next;
      continue;
    }
    const auto locked = lock_folder(folder_);
    if (!locked) return locked.error();
    const FilesInTime names = finished()[stem];
    if (auto made = make_list(stem, names); !made) return made;
    unlisted_.erase(stem);
    if (auto made = make_master(stem, names); !made) return made;
    next = need_master_.erase(next);
  }
  return {};
}

Status RunIndex::update_all() {
  const auto locked = lock_folder(folder_);
  if (!locked) return locked.error();
  for (const auto& [stem, names] : finished()) {
    std::ifstream list(folder_ / (stem + ".lst"));
    std::ostringstream there;
    there << list.rdbuf();
    const auto master = folder_ / (stem + std::string(kMasterSuffix));
    std::error_code unknown;  // then it is made again
    if (list && there.str() == lines(names) && std::filesystem::exists(master, unknown)) continue;
    if (auto made = make_list(stem, names); !made) return made;
    if (auto made = make_master(stem, names); !made) return made;
    unlisted_.erase(stem);
    need_master_.erase(stem);
  }
  return {};
}

Status RunIndex::replace(const std::filesystem::path& path, const std::string& text) const {
  const std::filesystem::path beginning = path.string() + std::string(kNewSuffix);
  const auto write = [&]() -> Status {
    auto file = PosixFile::open(beginning, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) return file.error();
    if (auto written = file->write_at(0, std::as_bytes(std::span(text))); !written) return written;
    return file->sync();
  };
  if (auto written = write(); !written) {
    (void)remove_name(beginning);  // else the next one writes over it
    return written;
  }
  return put_in_place(beginning, path);
}

std::string RunIndex::lines(const FilesInTime& names) const {
  const std::string folder = (folder_ / "").string();
  std::string text;
  for (const auto& name : names) text += folder + name + '\n';
  return text;
}

Status RunIndex::make_list(const std::string& stem, const FilesInTime& names) const {
  const auto list = folder_ / (stem + ".lst");
  return names.empty() ? remove_name(list) : replace(list, lines(names));
}

// Whoever finishes a file adds it, under the lock, so the list that is there has all the others: no look at the folder,
// in which there may be those of many days.
Status RunIndex::add_to_list(const std::string& stem, const FilesInTime& added) const {
  std::ifstream list(folder_ / (stem + ".lst"));
  const std::string folder = (folder_ / "").string();
  FilesInTime names;
  bool whole = list.is_open();
  for (std::string line; whole && std::getline(list, line);) {
    whole = line.starts_with(folder) && !list.eof();  // not another's, and with its end
    if (whole) names.insert(names.end(), line.substr(folder.size()));
  }
  if (!whole || names.empty()) return make_list(stem, finished()[stem]);
  names.insert(added.begin(), added.end());
  return make_list(stem, names);
}

// Nothing where no file has images, or where their shapes or types differ.
Result<std::optional<RunIndex::Sources>> RunIndex::look_at_all(const FilesInTime& names) const {
  Sources sources;
  for (const auto& name : names) {
    const auto file = open_for_reading(folder_ / name);
    if (!file) return file.error();
    auto images = look_at(file->get(), kImageDataset);
    if (!images || images->dims.size() != 3) continue;  // moved here by somebody
    const bool first = sources.files.empty();
    if (first) sources.take_names(file->get());
    Source source{.name = name, .events = images->dims[0], .columns = {}};
    for (const std::string& column : sources.names) {
      auto found = look_at(file->get(), column.c_str());
      if (!found || found->dims[0] != source.events) continue;
      if (first) sources.types.emplace(column, std::move(found->type));
      const auto type = sources.types.find(column);
      if (type != sources.types.end() && (first || H5Tequal(type->second.get(), found->type.get()) > 0))
        source.columns.emplace(column, std::move(found->dims));
    }
    const auto shape = source.columns.find(kImageDataset);
    if (shape == source.columns.end()) return std::optional<Sources>();
    if (!first) {
      const auto& wanted = sources.files.front().columns.at(kImageDataset);
      if (shape->second[1] != wanted[1] || shape->second[2] != wanted[2]) return std::optional<Sources>();
    }
    const auto identifiers = look_at(file->get(), kIdentifiers);
    source.identified = identifiers && identifiers->dims == std::vector<hsize_t>{source.events} &&
                        H5Tis_variable_str(identifiers->type.get()) > 0;
    sources.files.push_back(std::move(source));
  }
  if (sources.files.empty()) return std::optional<Sources>();
  return std::optional(std::move(sources));
}

Status RunIndex::make_master(const std::string& stem, const FilesInTime& names) {
  const auto path = folder_ / (stem + std::string(kMasterSuffix));
  if (names.empty()) return remove_name(path);
  prepare_hdf5();
  const auto sources = look_at_all(names);
  if (!sources) return sources.error();
  if (!*sources) return remove_name(path);

  const std::filesystem::path beginning = path.string() + std::string(kNewSuffix);
  if (auto removed = remove_name(beginning); !removed) return removed;
  const auto written = write_master(beginning, **sources);
  // It was much, in small pieces, which HDF5 and malloc keep; and the next master is a run away.
  H5garbage_collect();
  malloc_trim(0);
  if (!written) {
    (void)remove_name(beginning);  // else the next one removes it
    return written;
  }
  return put_in_place(beginning, path);
}

// Columns and mask.
Status RunIndex::copy_columns(hid_t master, const std::filesystem::path& path, const Sources& sources) const {
  std::vector<CopiedColumn> columns;
  for (const std::string& name : sources.names) {
    if (is_stack(name) || !sources.all_have(name)) continue;
    std::vector<hsize_t> dims = sources.files.front().columns.at(name);
    dims[0] = 0;
    for (const Source& source : sources.files) {
      const auto& part = source.columns.at(name);
      dims[0] += part[0];
      for (std::size_t i = 1; i < dims.size(); ++i) dims[i] = std::max(dims[i], part[i]);
    }
    auto made = CopiedColumn::create(master, path, name, dims, sources.types.at(name).get());
    if (!made) return made.error();
    columns.push_back(std::move(*made));
  }
  JoinedMask mask;
  for (const Source& source : sources.files) {
    const auto file = open_for_reading(folder_ / source.name);
    if (!file) return file.error();
    for (CopiedColumn& column : columns) {
      if (auto copied = column.append(file->get(), folder_ / source.name); !copied) return copied;
    }
    if (auto added = mask.add(file->get(), folder_ / source.name, kMaskDataset); !added) return added;
  }
  for (CopiedColumn& column : columns) {
    if (auto closed = column.close(); !closed) return closed;
  }
  if (auto described = describe_columns(master, path, sources); !described) return described;
  H5Writer out(master, path);
  if (!mask.pixels().empty()) {
    out.packed_dataset(kMaskDataset, mask.pixels(), mask.width());
    out.attribute(kMaskDataset, "axes", "y:x");
  }
  return out.status();
}

// Names, units and missing values of the columns that feed.columns asked for.
Status RunIndex::describe_columns(hid_t master, const std::filesystem::path& path, const Sources& sources) const {
  std::vector<std::string> names, datasets;
  for (const auto& [name, dataset] : sources.given) {
    if (!sources.all_have(dataset)) continue;
    names.push_back(name);
    datasets.push_back(dataset);
  }
  if (names.empty()) return {};
  const auto file = open_for_reading(folder_ / sources.files.front().name);
  if (!file) return file.error();
  for (const auto& dataset : datasets) {
    if (auto copied = copy_column_attributes(file->get(), master, dataset, path); !copied) return copied;
  }
  H5Writer out(master, path);
  write_column_names(out, names, datasets);
  return out.status();
}

Status RunIndex::write_master(const std::filesystem::path& path, const Sources& sources) const {
  const auto access = sparing_memory();
  H5Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file.ok()) return hdf5_error("make", path);
  H5Writer out(file.get(), path);
  std::uint64_t events = 0;
  std::vector<std::string> names;
  std::vector<std::uint64_t> counts;
  for (const Source& source : sources.files) {
    events += source.events;
    names.push_back(source.name);
    counts.push_back(source.events);
  }
  if (auto copied = copy_columns(file.get(), path, sources); !copied) return copied;
  for (const char* stack : {kSegmentationDataset, kImageDataset}) {
    if (!sources.all_have(stack)) continue;
    const hid_t type = sources.types.at(stack).get();
    H5Writer::VirtualDataset shown{.name = stack, .parts = {}, .absent = absent(stack, type)};
    for (const Source& source : sources.files) shown.parts.push_back({source.name, source.columns.at(stack)});
    out.virtual_dataset(shown, type);
  }
  if (sources.all_have(kTimestamps)) out.soft_link("/LCLS/timestamp", kTimestamps);
  if (std::all_of(sources.files.begin(), sources.files.end(), [](const Source& source) { return source.identified; })) {
    const auto file_of = [&](std::size_t part) { return read_texts(folder_ / names[part], kIdentifiers); };
    out.texts(kIdentifiers, counts, file_of);
    out.soft_link("/entry_1/data_1/experiment_identifier", kIdentifiers);
    out.attribute(kImageDataset, "axes", "experiment_identifier:y:x");
  }
  out.group("/entry_1/peaknet/files");
  out.texts("/entry_1/peaknet/files/name", names);
  out.dataset("/entry_1/peaknet/files/events", counts);
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
