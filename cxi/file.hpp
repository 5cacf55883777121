// CxiFile: one CXI file while it is written, for CrystFEL and whoever reads CXI (every item: tables.cpp, and the check
// of each in tests/integration/cxi_items.py). It is made under a temporary name; the caller gives it its final name
// after finish().
//
// Images and segmentation masks are stored as whole chunks (one event each) that go to the kernel at once, at an
// address that is known from then on; everything else stays in memory and is written by finish(). So what append() took
// can be found again in the file by its StoredChunk alone, without HDF5, whatever happens to this process afterwards.
//
// After any error only abandon() (or the destructor) may follow: HDF5 is then closed without touching the file again.
// Space is reserved before HDF5 writes, so a full disk shows itself in make_room(), where the file can still be
// finished. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "cxi/event.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/posix_file.hpp"

namespace peaknet::writer {

// What is known about a file only at its end.
struct Closing {
  std::vector<std::pair<std::string, std::uint64_t>> accounting;  // the instance's counters of the run, by name
  bool recovered = false;         // made again from a ledger, after its writer died or its disk failed
  std::uint64_t events_lost = 0;  // recovered: durable events that could not be read again
};

class CxiFile {
 public:
  // Errors: output.*; nothing is left behind then.
  static Result<CxiFile> create(const std::filesystem::path& path, const FileFacts& facts);
  CxiFile(CxiFile&&) = default;
  CxiFile& operator=(CxiFile&& other) noexcept;
  ~CxiFile();

  // Make sure that an event of `stored_bytes` (image and segmentation) and that many peaks will fit, and that the file
  // can be finished after. Errors: output.disk-full, output.file-too-large; the file is as good as
  // before.
  Status make_room(std::size_t stored_bytes, std::size_t peaks);

  // Add an event. `image` and `segmentation` are the bytes as they shall lie in the file: pixels and mask (a byte for
  // each pixel), or their compressed chunks; empty where FileFacts says that there are none.
  Status append(Event event, std::span<const std::byte> image, std::span<const std::byte> segmentation = {});

  const std::vector<StoredEvent>& events() const { return events_; }
  const std::filesystem::path& path() const { return disk_.path(); }
  const FileFacts& facts() const { return facts_; }

  // Every image and mask appended so far survives a power cut.
  Status sync();
  // What is durable leaves the kernel's page cache. Called after each sync(), its pages are those of the next images:
  // nothing else is pushed out of the machine's memory, and no page is fetched cold.
  void drop_cached() const { disk_.drop_cached(); }

  // Write all the rest, close, and make the whole file durable. At least one event is needed: empty files are never
  // made. Returns the bytes of the file.
  Result<std::uint64_t> finish(const Closing& closing);

  // Let go of the file as it is on the disk now.
  void abandon();

 private:
  CxiFile(FileFacts facts, PosixFile disk, H5Handle file)
      : facts_(std::move(facts)), disk_(std::move(disk)), file_(std::move(file)) {}
  Result<StoredChunk> store(const H5Handle& stack, std::span<const std::byte> bytes);
  FileFacts facts_;
  PosixFile disk_;  // our own descriptor of the same file
  H5Handle file_;
  H5Handle images_;
  H5Handle segmentation_;  // closed where there is none
  std::vector<StoredEvent> events_;
  std::size_t most_peaks_ = 0;
  std::uint64_t reserved_ = 0;
};

}  // namespace peaknet::writer
