#include "shm/instances.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::shm {
namespace {

constexpr std::string_view kStem = "peaknet.";

// "peaknet.mfx.g3" -> "mfx"; "" for what is none of ours.
std::string instance_of(const std::string& object) {
  if (!object.starts_with(kStem)) return "";
  return object.substr(kStem.size(), object.find('.', kStem.size()) - kStem.size());
}

void look_at(const std::filesystem::path& object, InstanceSummary& summary) {
  struct stat info {};
  if (::stat(object.c_str(), &info) != 0) return;  // it went away meanwhile
  summary.bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  summary.owner_uid = info.st_uid;
}

void look_into(const ControlSegment& control_segment, InstanceSummary& summary) {
  const ControlLayout& layout = control_segment.layout();
  summary.daemon_pid = layout.daemon.pid.load();
  const auto lock = LockFile::open(control_segment_name(summary.name));
  if (lock) summary.daemon = lock->held_by_other(kOwnerByte);
  for (std::uint32_t id = 1; id < kMaxParticipants; ++id) {
    const bool attached = layout.participants[id].presence.load() == Presence::attached;
    if (attached && (!lock || lock->held_by_other(id))) ++summary.attached;
  }
  for (const std::string& object : summary.objects) {
    const auto epoch = pool_epoch(object.substr(control_segment_name(summary.name).size() - 1));
    if (!epoch) continue;
    if (const auto pool = Pool::open(summary.name, *epoch, control_segment.uuid(), Access::read_only)) {
      summary.frames += (*pool)->geometry().slots - (*pool)->count_states()[static_cast<std::size_t>(SlotState::free)];
    }
  }
}

Error in_use(const InstanceSummary& summary) {
  return {"instance.in-use",
          "instance '" + summary.name + "' has " + std::to_string(summary.attached) + " live participants and " +
              std::to_string(summary.frames) + " frames that wait",
          "nothing was removed",
          summary.attached > 0
              ? "end the programs that are attached (peaknetctl --instance " + summary.name + " status)"
              : "start peaknetd and peaknet-writer once more and let them drain it, or give the frames up with "
                "--with-frames"};
}

// A control segment that another version made: what is in it is not ours to read, but its locks are where they always
// were.
Status remove_of_other_version(const std::string& name, const Error& why, bool even_with_frames) {
  const auto lock = LockFile::open(control_segment_name(name));
  if (!lock) return lock.error();
  if (!lock->try_lock_all()) {
    return Error{"instance.in-use", "instance '" + name + "' is of another version, and programs are attached to it",
                 "nothing was removed", "end them first"};
  }
  if (!even_with_frames) {
    return Error{"instance.in-use", why.what + "; whether frames wait in it cannot be seen", "nothing was removed",
                 "drain it with the version that made it, or give what is in it up with --with-frames"};
  }
  remove_objects(name);
  return {};
}

}  // namespace

std::vector<InstanceSummary> list_instances() {
  std::map<std::string, InstanceSummary> found;
  std::error_code ignored;  // a folder that cannot be listed shows nothing
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
    const std::string object = entry.path().filename().string();
    const std::string name = instance_of(object);
    if (name.empty()) continue;
    InstanceSummary& summary = found[name];
    summary.name = name;
    summary.objects.push_back(object);
    look_at(entry.path(), summary);
  }
  std::vector<InstanceSummary> list;
  for (auto& [name, summary] : found) {
    std::sort(summary.objects.begin(), summary.objects.end());
    if (const auto control_segment = ControlSegment::open(name, Access::read_only)) {
      look_into(**control_segment, summary);
    } else {
      summary.problem = control_segment.error().what;
    }
    list.push_back(std::move(summary));
  }
  return list;
}

Status remove_instance(const std::string& name, bool even_with_frames) {
  const auto listed = list_instances();
  const auto found =
      std::find_if(listed.begin(), listed.end(), [&](const InstanceSummary& summary) { return summary.name == name; });
  if (found == listed.end()) {
    return Error{"shm.absent", "there is no shared memory of an instance '" + name + "' on this machine",
                 "nothing was removed", "peaknetctl instances lists what there is"};
  }
  // Pools alone, without a control segment, are a removal by hand that stopped half way: take() finds nothing to adopt
  // and clears them away.
  if (const auto control_segment = ControlSegment::open(name, Access::read_write);
      !control_segment && control_segment.error().id != "shm.absent") {
    if (control_segment.error().id != "directory.other-version") return control_segment.error();
    return remove_of_other_version(name, control_segment.error(), even_with_frames);
  }
  auto owner = InstanceOwner::take(name, {});
  if (!owner) return owner.error();
  if (owner->remove_if_unused(even_with_frames)) return {};
  for (const InstanceSummary& now : list_instances()) {
    if (now.name == name) return in_use(now);
  }
  return in_use(*found);
}

}  // namespace peaknet::shm
