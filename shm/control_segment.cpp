#include "shm/control_segment.hpp"

#include <charconv>
#include <filesystem>
#include <new>
#include <vector>

#include "base/random_number.hpp"
#include "base/text.hpp"
#include "shm/pool.hpp"

namespace peaknet::shm {
namespace {

Status check_name(const std::string& instance) {
  if (is_plain_name(instance, 64) && instance.find('.') == std::string::npos) return {};
  return Error{"instance.bad-name", "'" + instance + "' cannot name an instance", "",
               "use 1 to 64 letters, digits, '_' or '-'"};
}

Result<std::shared_ptr<Segment>> make_control_segment(const std::string& name, const SegmentOptions& options) {
  auto segment = Segment::create(name, sizeof(ControlLayout), options);
  if (!segment) return segment.error();
  auto* layout = new (segment->data()) ControlLayout;
  layout->header.magic = kControlMagic;
  layout->header.abi_major = kAbiMajor;
  layout->header.abi_minor = kAbiMinor;
  layout->header.layout_hash = kLayoutHash;
  layout->header.total_bytes = sizeof(ControlLayout);
  layout->header.instance_uuid = random_number();
  layout->header.state.store(SegmentState::live, std::memory_order_release);
  if (auto published = segment->publish(); !published) return published.error();
  return std::make_shared<Segment>(std::move(*segment));
}

// The objects of the instance beside its control segment, by what follows the instance's name and the dot: "g1",
// "g2.5f3a.tmp".
std::vector<std::string> objects_beside(const std::string& instance) {
  std::vector<std::string> rest;
  std::error_code ignored;  // a folder that cannot be listed has nothing we could remove
  const std::string stem = control_segment_name(instance).substr(1) + ".";
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(stem)) rest.push_back(file.substr(stem.size()));
  }
  return rest;
}

// What a daemon that died while it created something left behind: objects under temporary names, and pools that were
// not published yet. A pool of an earlier epoch may still hold frames. Only the owner of the instance may call this.
void remove_leftovers(const std::string& instance, std::uint64_t epoch) {
  for (const auto& object : objects_beside(instance)) {
    if (object.ends_with(".tmp") || pool_epoch("." + object).value_or(0) > epoch)
      Segment::unlink(control_segment_name(instance) + "." + object);
  }
}

}  // namespace

std::optional<std::uint64_t> pool_epoch(const std::string& suffix) {
  std::uint64_t epoch = 0;
  const char* end = suffix.data() + suffix.size();
  if (!suffix.starts_with(".g")) return std::nullopt;
  const auto [last, error] = std::from_chars(suffix.data() + 2, end, epoch);
  if (error != std::errc{} || last != end || epoch == 0) return std::nullopt;
  return epoch;
}

// The control segment last: while it is there, whoever finds it knows that the removal has begun and completes it.
void remove_objects(const std::string& instance) {
  for (const auto& object : objects_beside(instance)) {
    if (object.ends_with(".tmp") || pool_epoch("." + object))
      Segment::unlink(control_segment_name(instance) + "." + object);
  }
  Segment::unlink(control_segment_name(instance));
}

ControlSegment::ControlSegment(std::string instance, Segment segment)
    : instance_(std::move(instance)), segment_(std::move(segment)), uuid_(layout().header.instance_uuid) {}

Result<std::shared_ptr<ControlSegment>> ControlSegment::open(const std::string& instance, Access access) {
  if (auto good = check_name(instance); !good) return good.error();
  const std::string name = control_segment_name(instance);
  auto segment = Segment::open(name, access, sizeof(SegmentHeader));
  if (!segment) return segment.error();
  const auto* header = static_cast<const SegmentHeader*>(segment->data());
  if (header->magic != kControlMagic) {
    return Error{"directory.foreign", "shared memory " + name + " was not made by peaknetd", "it was not used",
                 "choose another instance name, or remove /dev/shm" + name + " if nobody uses it"};
  }
  if (header->abi_major != kAbiMajor || header->layout_hash != kLayoutHash) {
    return Error{
        "directory.other-version",
        "instance '" + instance + "' has layout " + std::to_string(header->abi_major) + "/" +
            std::to_string(header->layout_hash) + ", this program has " + std::to_string(kAbiMajor) + "/" +
            std::to_string(kLayoutHash),
        "it was not used",
        "use programs of one version; if an older one left this behind, peaknetctl instances --remove " + instance};
  }
  if (segment->size() < sizeof(ControlLayout)) {
    return Error{"shm.too-small",
                 "shared memory " + name + " has " + std::to_string(segment->size()) + " bytes of " +
                     std::to_string(sizeof(ControlLayout)) + ": it was truncated",
                 "it was not used",
                 "end the programs of the instance, remove /dev/shm" + name + " and start peaknetd again"};
  }
  return std::shared_ptr<ControlSegment>(new ControlSegment(instance, std::move(*segment)));
}

Result<std::shared_ptr<Pool>> ControlSegment::open_pool(Access access) const {
  const std::uint64_t epoch = layout().epoch.load(std::memory_order_acquire);
  if (epoch == 0) {
    return Error{"pool.none", "instance '" + instance_ + "' has no frame pool yet", "",
                 "wait until peaknetd has started"};
  }
  return Pool::open(instance_, epoch, uuid_, access);
}

Result<InstanceOwner> InstanceOwner::take(const std::string& instance, const SegmentOptions& options) {
  if (auto good = check_name(instance); !good) return good.error();
  const std::string name = control_segment_name(instance);
  // Two daemons that start at once both come here; the lock decides, and the loser's look at the name is repeated.
  for (int attempt = 0; attempt < 10; ++attempt) {
    bool adopted = true;
    auto control_segment = ControlSegment::open(instance, Access::read_write);
    if (!control_segment && control_segment.error().id == "shm.absent") {
      auto made = make_control_segment(name, options);
      if (!made && made.error().id == "shm.exists") continue;  // a daemon that starts beside us was faster
      if (!made) return made.error();
      adopted = false;
      control_segment = ControlSegment::open(instance, Access::read_write);
    }
    if (!control_segment && control_segment.error().id == "shm.absent") continue;  // and has been removed again
    if (!control_segment) return control_segment.error();
    auto lock = LockFile::open(name);
    if (!lock) {
      if (lock.error().id == "shm.absent") continue;
      return lock.error();
    }
    if (!lock->try_lock(kOwnerByte)) {
      const auto& daemon = (*control_segment)->layout().daemon;
      return Error{"instance.taken",
                   "instance '" + instance + "' belongs to the peaknetd with pid " + std::to_string(daemon.pid.load()) +
                       " (" + std::string(shm::name(daemon.state.load())) + ")",
                   "it keeps running", "stop that daemon first, or give this one another `instance`"};
    }
    if (!lock->still_named(name)) continue;
    if ((*control_segment)->layout().header.state.load() ==
        SegmentState::removed) {  // its daemon died while it removed it
      remove_objects(instance);
      continue;
    }
    remove_leftovers(instance, (*control_segment)->layout().epoch.load());
    return InstanceOwner(std::move(*control_segment), std::move(*lock), adopted);
  }
  return Error{"instance.unstable", "instance '" + instance + "' was made and removed by others ten times in a row",
               "nothing was changed", "see who else starts and stops this instance"};
}

bool InstanceOwner::nobody_attached() const {
  const auto& layout = control_segment_->layout();
  for (std::uint32_t id = 1; id < kMaxParticipants; ++id) {
    if (layout.participants[id].presence.load() == Presence::attached && lock_.held_by_other(id)) return false;
  }
  return true;
}

bool InstanceOwner::no_frames() const {
  for (const auto& object : objects_beside(control_segment_->instance())) {
    const auto epoch = pool_epoch("." + object);
    if (!epoch) continue;
    const auto pool = Pool::open(control_segment_->instance(), *epoch, control_segment_->uuid(), Access::read_only);
    if (!pool) continue;  // what cannot be opened holds no frames for anybody
    if ((*pool)->count_states()[static_cast<std::size_t>(SlotState::free)] != (*pool)->geometry().slots) return false;
  }
  return true;
}

std::optional<Error> InstanceOwner::unlink_damaged_pool() {
  const auto pool = control_segment_->open_pool(Access::read_write);
  if (pool ||
      (pool.error().id != "pool.damaged" && pool.error().id != "pool.foreign" && pool.error().id != "shm.too-small"))
    return std::nullopt;
  Segment::unlink(pool_name(control_segment_->instance(), control_segment_->layout().epoch.load()));
  return pool.error();
}

bool InstanceOwner::remove_if_unused(bool even_with_frames) {
  // The gate keeps newcomers out while we look: they hold it shared while they attach.
  if (!lock_.try_lock(kGateByte)) return false;
  const bool remove = nobody_attached() && (even_with_frames || no_frames());
  if (remove) {
    control_segment_->layout().header.state.store(SegmentState::removed, std::memory_order_release);
    remove_objects(control_segment_->instance());
  }
  lock_.unlock(kGateByte);  // whoever waited for it finds the name gone
  return remove;
}

}  // namespace peaknet::shm
