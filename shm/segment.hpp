// Segment: one POSIX shared-memory object, created whole or opened (Boost.Interprocess shared_memory_object +
// mapped_region).
//
// A segment is made under a temporary name, its memory really reserved (posix_fallocate: a tmpfs over-commits, and the
// first touch of a page that is not there is SIGBUS), initialised, and only then renamed to its name: nobody ever opens
// a half-built one. What a creator that died left under its temporary name is removed by the next daemon of the
// instance.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace peaknet::shm {

enum class Access { read_only, read_write };

// Who may attach, and how the memory is backed.
struct SegmentOptions {
  unsigned mode = 0660;
  std::string group = {};  // "": the group of the creating process
  bool transparent_huge =
      false;  // ask for transparent huge pages; where the kernel's shmem policy forbids it nothing changes
};

class Segment {
 public:
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();  // a segment that was never published loses its temporary name

  // Reserve `bytes` under a temporary name of its own, `name`.<random>.tmp, so that two who make the same one at once
  // do not meet before publish(). Errors: shm.no-space (with what is free), shm.exists, shm.group, shm.cannot-create.
  // On any error nothing is left behind.
  static Result<Segment> create(const std::string& name, std::size_t bytes, const SegmentOptions& options);
  // Give a created segment its name. Errors: shm.exists (somebody was faster), shm.cannot-create; the name is not
  // touched then.
  Status publish();

  // Map an existing object whole. Errors: shm.absent, shm.denied, shm.world-writable, shm.too-small (less than
  // `at_least`).
  static Result<Segment> open(const std::string& name, Access access, std::size_t at_least);

  // Remove the name; mappings stay valid. False if there was none.
  static bool unlink(const std::string& name);

  void* data() const { return region_.get_address(); }
  std::size_t size() const { return region_.get_size(); }
  const std::string& name() const { return name_; }

 private:
  Segment(std::string name, boost::interprocess::mapped_region region, std::string temporary)
      : name_(std::move(name)), region_(std::move(region)), temporary_(std::move(temporary)) {}
  std::string name_;
  boost::interprocess::mapped_region region_;
  std::string temporary_;  // the name it has until it is published; "" afterwards
};

// Bytes that /dev/shm can still give; nullopt if that cannot be found out.
std::optional<std::size_t> shared_memory_free();

}  // namespace peaknet::shm
