// What the tests of the writer's files share: a folder that goes away, events whose content follows from their number,
// and the check of a file by tests/integration/cxi_items.py.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cxi/event.hpp"
#include "cxi/file.hpp"
#include "cxi/ledger.hpp"

namespace peaknet::test {

// A folder of its own, on disk (not /tmp on a tmpfs of unknown size: below the working directory), removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  // File names in it, sorted.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

// A tmpfs of the given size mounted on a folder of its own. Not mounted() where that is not allowed.
class SmallDisk {
 public:
  explicit SmallDisk(std::uint64_t bytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
  bool mounted_;
};

// Two panels of 32 x 65 uint16, with photon energy.
writer::FileFacts sample_facts();
// 10 + number % 5 peaks, all inside the slab.
writer::Event sample_event(std::uint64_t number);
// Pixels that no other event has.
std::vector<std::byte> sample_image(std::uint64_t number, const writer::FileFacts& facts);

// A mask that no other event has, as it lies in a file without compression.
std::vector<std::byte> sample_segmentation(std::uint64_t number, const writer::FileFacts& facts);

// Single values of uint8 ("laser_on"), and arrays of `length` of float32 ("spectrum").
shm::ColumnTable sample_columns(std::uint32_t length = 3);

// The pair that a writer leaves when it is killed: `durable` events in part and ledger, `more` in the part alone.
void leave_orphan(const std::filesystem::path& final_path, const writer::FileFacts& facts, std::uint64_t durable,
                  std::uint64_t more = 0);

// A finished file of the sample's events `first`, `first` + 1, ...: p_run{run}_..._chunk000{chunk}.cxi.
std::filesystem::path finish_file(const std::filesystem::path& folder, const std::string& run, int chunk,
                                  std::uint64_t first, std::uint64_t events,
                                  const writer::FileFacts& facts = sample_facts());

// Is event `number` of the sample the one at `row` of the file, with its image? "" or what differs.
std::string difference(const std::filesystem::path& file, std::size_t row, std::uint64_t number,
                       const writer::FileFacts& facts);

// Bad pixels of the sample's frames: by panel, row and column.
std::shared_ptr<const writer::BadMask> bad_mask(const writer::FileFacts& facts,
                                                const std::vector<std::array<std::uint32_t, 3>>& pixels);
// Numbers of a dataset as a file has them, row by row; empty without such a dataset.
std::vector<double> numbers_of(const std::filesystem::path& file, const std::string& dataset);
// An attribute of text; "(none)" where there is none.
std::string attribute_of(const std::filesystem::path& file, const std::string& object, const std::string& name);

// Runs cxi_items.py: "" if every item holds, "skipped" without h5py, else its output.
std::string failing_items(const std::filesystem::path& file, const std::string& options = "");

std::vector<std::byte> read_all(const std::filesystem::path& file);
void write_all(const std::filesystem::path& file, std::span<const std::byte> bytes);

}  // namespace peaknet::test
