// RunSums: what the hits of a run look like together: how many have the centre of a peak in each pixel (the virtual
// powder), the sum of their images, the largest value of each pixel, and the intensities of their peaks by resolution.
//
//   {prefix}_run{run}_w{writer}_{part}.sums.h5   of hits of one writer; written anew every few seconds of the run
//   {prefix}_run{run}_master.cxi                 /entry_1/peaknet/sums: of all writers, from the run's end on
//
// Invariant: a file appears under its name only when it is whole, and has no hit twice. `hits` of the events of the run
// are in the powder, `summed` of these in sum and maximum: who wants to know what is missing compares.
//
// Threads: any, one for each file at a time. Errors: those of the disk and output.hdf5. After a crash: the last file of
// a writer stands, without the hits of its last seconds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/peakogram.hpp"

namespace peaknet::writer {

inline constexpr std::string_view kSumsSuffix = ".sums.h5";
inline constexpr std::string_view kSumsNewSuffix = ".sums.h5.new";  // of one that is being made
inline constexpr const char* kSumsInFile = "/sums";
inline constexpr const char* kSumsInMaster = "/entry_1/peaknet/sums";

struct RunSums {
  std::uint32_t height = 0, width = 0;  // of the slab
  std::vector<std::uint32_t> powder;
  // NaN: a bad pixel, padding, no panel, or no image has a finite value there.
  std::vector<double> sum;
  std::vector<float> maximum;
  Peakogram peakogram;
  std::uint64_t hits = 0, summed = 0;
  std::int64_t first_ns = 0, last_ns = 0;  // CLOCK_REALTIME, when its first and its last hit were safe on the disk; 0
  double spent_s = 0;                      // what making it took of the writer's thread ...
  double span_s = 0;                       // ... in this time

  bool same_shape(const RunSums& other) const { return height == other.height && width == other.width; }
  // Of other hits, of the same shape.
  void add(const RunSums& other);
};

std::filesystem::path sums_path(const std::filesystem::path& folder, const std::string& stem, std::uint64_t writer,
                                std::uint64_t part);
// The stem, where it is the name of such a file.
std::optional<std::string> stem_of_sums(std::string_view file_name);

// Of all runs, each run's by name.
std::map<std::string, std::vector<std::filesystem::path>> sums_by_stem(const std::filesystem::path& folder);

// How many hits are in those, by their attributes alone; what cannot be read has none.
std::uint64_t hits_in(const std::vector<std::filesystem::path>& files);

// Takes the place of the file that is there. `durable`: it survives a power cut.
Status write_sums(const std::filesystem::path& path, const RunSums& sums, bool durable);
// The same as a group of a file that is being made; `packed`: smaller, and slower.
void put_sums(H5Writer& out, const std::string& group, const RunSums& sums, bool packed);

Result<RunSums> read_sums(const std::filesystem::path& path, const std::string& group = kSumsInFile);

// All of a run together. Nothing: there are none. Those of another shape than the first are left out.
Result<std::optional<RunSums>> read_sums_of(const std::vector<std::filesystem::path>& files);

}  // namespace peaknet::writer
