// Instances: which instances have shared memory on this machine, and taking away what a crashed one left.
//
// For people at a shell, not for programs that work: nothing here attaches, and looking changes nothing. A daemon that
// ends takes its memory away by itself where it may (InstanceOwner), and one that starts adopts what is there; so there
// is something to remove only if an instance is not to come back, or was left by another version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::shm {

struct InstanceSummary {
  std::string name;
  std::vector<std::string> objects;  // names in /dev/shm, the control segment and its pools
  std::uint64_t bytes = 0;           // memory that they take
  std::uint32_t owner_uid = 0;       // whose they are
  std::optional<bool> daemon;        // does a peaknetd hold it? nothing: we may not ask
  std::uint32_t daemon_pid = 0;      // of the last one
  std::uint32_t attached = 0;        // live participants, those of the daemon among them
  std::uint64_t frames = 0;          // in slots of all its pools that are not free
  std::string problem;               // why its control segment cannot be read by this program; "" if it can
};

// Every instance that has an object in /dev/shm, sorted by name. What may not be read is listed with its problem.
std::vector<InstanceSummary> list_instances();

// Unlink all objects of an instance. Only if no daemon holds it and no participant is alive, which the kernel's locks
// prove while the gate keeps newcomers out; and only with `even_with_frames` if frames wait in it, or if another
// version made it, so that they cannot be counted. Errors: shm.absent, shm.denied, shm.cannot-open, instance.bad-name,
// instance.taken, instance.in-use (with the numbers), directory.foreign. On any error nothing was removed.
Status remove_instance(const std::string& name, bool even_with_frames);

}  // namespace peaknet::shm
