// PosixFile: one open file with the calls that durability needs, each failing with an Error that says what the disk
// said.
//
// Used by one thread at a time. Nothing is buffered here: what write_at() accepted is in the kernel and survives the
// death of this process; what sync() accepted survives a power cut. After sync() has failed once, nothing that was
// written before may be taken for durable, whatever a later sync() says (the kernel reports a lost page once): give the
// file up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace peaknet::writer {

class PosixFile {
 public:
  PosixFile() = default;  // no file
  PosixFile(PosixFile&& other) noexcept;
  PosixFile& operator=(PosixFile&& other) noexcept;
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile();  // closes; a lock taken through it is dropped

  // open(2) with O_CLOEXEC. Errors: see disk_error.
  static Result<PosixFile> open(const std::filesystem::path& path, int flags, unsigned mode = 0664);

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::filesystem::path& path() const { return path_; }
  void close();
  // The name it has now, after a rename by the caller.
  void renamed(const std::filesystem::path& path) { path_ = path; }

  // All bytes or an error; never a short count in silence. read_at: also an error where the file ends too early
  // (file.short).
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;
  Status read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  Result<std::uint64_t> size() const;
  Status sync() const;  // fdatasync
  // Ask the kernel to begin to write these bytes to the disk: a hint that shortens the next sync(), no promise.
  void begin_sync(std::uint64_t offset, std::uint64_t bytes) const;
  // Ask the kernel to let go of its copy of the file, as far as that is on the disk: a hint too.
  void drop_cached() const;
  Status resize(std::uint64_t bytes) const;  // also gives back what reserve() took beyond

  // Make sure that the bytes up to `end` can be written without running out of space; the file's size does not change.
  // Where the file system cannot reserve, only what is free now is looked at. Errors: output.disk-full,
  // output.file-too-large.
  Status reserve(std::uint64_t begin, std::uint64_t end) const;

  // Is this open file (still) the one of that name?
  bool is_named(const std::filesystem::path& name) const;

  // flock(2), exclusive, without waiting: false if another open file holds it. The kernel drops it at the holder's
  // death.
  Result<bool> try_lock() const;

 private:
  int fd_ = -1;
  std::filesystem::path path_;
};

// An Error for a failed call on `path`, from errno: output.disk-full (no space, quota), output.file-too-large (ulimit
// -f), output.folder-missing, output.denied, output.exists, output.no-locks, else output.disk-error. `untouched` is
// filled in by the caller where something is known.
Error disk_error(std::string_view action, const std::filesystem::path& path, int code);

// Does the limit of file size of this process (RLIMIT_FSIZE) allow this? Errors: output.file-too-large.
Status may_grow_to(std::uint64_t bytes, const std::filesystem::path& path);

// fsync of the folder, so that a name made in or removed from it survives a power cut.
Status sync_folder(const std::filesystem::path& folder);

// Remove a name; a name that is not there is fine.
Status remove_name(const std::filesystem::path& path);

// Give `from` its final name `to` in the same folder; never replaces a file (output.exists). Durable when it returns
// ok.
Status publish_name(const std::filesystem::path& from, const std::filesystem::path& to);

// Put `from` in the place of `to`, in the same folder. What is read under the name is whole at any moment; which of the
// two it is after a power cut nobody knows.
Status replace_name(const std::filesystem::path& from, const std::filesystem::path& to);

// Bytes that an unprivileged process may still write below `folder`.
Result<std::uint64_t> free_bytes(const std::filesystem::path& folder);

}  // namespace peaknet::writer
