// Segment: one shared-memory object, created whole or opened, and mapped (Boost.Interprocess).
//
// Its name is always one of POSIX shared memory, in /dev/shm. Its memory is there too (shared_memory_object), or, for
// huge pages and memory with a quota of its own, a file on another tmpfs or on a hugetlbfs mount (file_mapping): then
// the name in /dev/shm is a symbolic link to that file, so everybody finds, lists and removes both kinds alike.
//
// A segment is made under a temporary name, its memory really reserved (posix_fallocate: a tmpfs over-commits, and the
// first touch of a page that is not there is SIGBUS), initialised, and only then renamed to its name: nobody ever opens
// a half-built one. What a creator that died left under its temporary name is removed by the instance's next daemon.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace peaknet::shm {

enum class Access { read_only, read_write };

// Who may attach, and how the memory is backed.
struct SegmentOptions {
  unsigned mode = 0660;
  std::string group = {};  // "": the group of the creating process
  // Ask for transparent huge pages; where the kernel's policy for shared memory forbids them nothing changes.
  bool transparent_huge = false;
  std::string folder = {};  // where the memory is: a folder on a tmpfs or hugetlbfs mount; "": /dev/shm
  std::optional<std::uint32_t> numa_node = std::nullopt;  // all pages on this node, or none at all
};

class Segment {
 public:
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();  // a segment that was never published loses its temporary name

  // Reserve `bytes` under a temporary name of its own, `name`.<random>.tmp, so that two who make the same one at once
  // do not meet before publish(). The size is rounded up to whole pages of the memory. Errors: shm.no-space (with what
  // is free), shm.exists, shm.group, shm.numa, shm.cannot-create. On any error nothing is left behind.
  static Result<Segment> create(const std::string& name, std::size_t bytes, const SegmentOptions& options);
  // Reserve `bytes` that no name leads to: for memory that no other process is to find, and of which nothing is left
  // however this one ends. Of the options those count that say what the memory is (transparent_huge, folder,
  // numa_node). `purpose` takes the place of the name in errors: shm.no-space, shm.numa, shm.cannot-create.
  static Result<Segment> create_nameless(const std::string& purpose, std::size_t bytes, const SegmentOptions& options);
  // Give a created segment its name. Errors: shm.exists (somebody was faster), shm.cannot-create; the name is not
  // touched then.
  Status publish();

  // Map an existing object whole. Errors: shm.absent, shm.denied, shm.cannot-open, shm.world-writable, shm.too-small
  // (less than `at_least`).
  static Result<Segment> open(const std::string& name, Access access, std::size_t at_least);

  // Remove the name, and the file behind it; mappings stay valid. False if there was none.
  static bool unlink(const std::string& name);

  // Keep the whole segment in memory (mlock). Errors: shm.cannot-lock; then it is as before, which harms nothing where
  // no swap is used.
  Status lock() const;

  void* data() const { return region_.get_address(); }
  std::size_t size() const { return region_.get_size(); }
  const std::string& name() const { return name_; }

 private:
  static Result<std::size_t> whole_pages(const std::string& name, std::size_t bytes, const std::string& folder);
  template <class Object>
  static Result<boost::interprocess::mapped_region> furnish(Object& object, const std::string& name, std::size_t bytes,
                                                            const SegmentOptions& options, const std::string& folder);
  template <class Object>
  static Result<Segment> map(const Object& object, const std::string& name, boost::interprocess::mode_t mode,
                             std::size_t at_least);
  Segment(std::string name, boost::interprocess::mapped_region region, std::string temporary)
      : name_(std::move(name)), region_(std::move(region)), temporary_(std::move(temporary)) {}
  std::string name_;
  boost::interprocess::mapped_region region_;
  std::string temporary_;  // the name it has until it is published; "" afterwards
};

// Bytes that a mount for shared memory can still give; nullopt if that cannot be found out, as on a hugetlbfs without a
// limit of its own.
std::optional<std::size_t> shared_memory_free(const std::string& folder = "/dev/shm");

}  // namespace peaknet::shm
