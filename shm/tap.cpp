#include "shm/tap.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shm/opening.hpp"

namespace peaknet::shm {
namespace {

constexpr int kTries = 64;
constexpr std::size_t kPiece = std::size_t{1} << 20;  // a copy that is overtaken is given up after at most so much

// A frame lies whole in the slot. Not those that took down their owners: nobody knows what is in them.
bool holds_a_frame(const StateWord& word) {
  return word.state != SlotState::filling && word.state != SlotState::quarantined &&
         static_cast<int>(word.state) < kSlotStates && word.attempts < kMaxAttempts;
}

// Is the mask of such a frame complete? `free` alone does not tell: a frame that was dropped is free as well, but no
// writer ever had it.
bool has_result(const StateWord& word, const FrameDescriptor& descriptor) {
  const bool through_q2 = word.state == SlotState::done || word.state == SlotState::writing ||
                          (word.state == SlotState::free && descriptor.last_writer != 0);
  return through_q2 && descriptor.result_status == static_cast<std::uint32_t>(ResultStatus::mask);
}

// What its owner may just be writing is left out.
void keep_what_stands_still(FrameDescriptor& descriptor, bool with_result) {
  descriptor.write_ns = descriptor.last_writer = 0;
  if (with_result) return;
  descriptor.set_run("");
  descriptor.take_ns = descriptor.done_ns = 0;
  descriptor.result_status = static_cast<std::uint32_t>(ResultStatus::none);
}

Error removed(const std::string& instance) {
  return {"instance.removed", "the shared memory of instance '" + instance + "' was removed", "",
          "open the tap again when peaknetd runs"};
}

}  // namespace

class Tap::Object {
 public:
  static Result<std::unique_ptr<Object>> open(const std::string& name) {
    const AboveStdio above;
    const int fd = ::shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return cannot_open(name, " for reading", errno);
    return std::unique_ptr<Object>(new Object(name, fd));
  }
  ~Object() { ::close(fd_); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  bool still_named() const {
    struct stat mine {};
    struct stat named {};
    return ::fstat(fd_, &mine) == 0 && ::stat(("/dev/shm" + name_).c_str(), &named) == 0 &&
           mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
  }
  Status read(std::size_t offset, std::byte* to, std::size_t bytes) const {
    for (std::size_t done = 0; done < bytes;) {
      const ssize_t got = ::pread(fd_, to + done, bytes - done, static_cast<off_t>(offset + done));
      if (got > 0) {
        done += static_cast<std::size_t>(got);
      } else if (got == 0 || errno != EINTR) {
        return Error{
            "shm.too-small",
            "shared memory " + name_ + " ends before byte " + std::to_string(offset + bytes) + ": it was truncated",
            "nothing was copied", "end the programs of the instance, remove /dev/shm" + name_ + " and start peaknetd"};
      }
    }
    return {};
  }

 private:
  Object(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}
  std::string name_;
  int fd_;
};

Tap::Tap(std::string instance, std::shared_ptr<ControlSegment> control_segment, std::unique_ptr<Object> named)
    : instance_(std::move(instance)), control_segment_(std::move(control_segment)), named_(std::move(named)) {}
Tap::~Tap() = default;

const Geometry& Tap::geometry() const { return source_.pool->geometry(); }

Result<std::unique_ptr<Tap>> Tap::open(const std::string& instance) {
  // The mapping is made after the object was opened; if that object has the name even then, both are the same one.
  for (int attempt = 0; attempt < kTries; ++attempt) {
    auto control_segment = ControlSegment::open(instance, Access::read_only);  // checks the name before anybody uses it
    if (!control_segment) return control_segment.error();
    auto named = Object::open(control_segment_name(instance));
    if (!named) return named.error();
    control_segment = ControlSegment::open(instance, Access::read_only);
    if (!control_segment) return control_segment.error();
    if (!(*named)->still_named()) continue;
    std::unique_ptr<Tap> tap(new Tap(instance, std::move(*control_segment), std::move(*named)));
    if (auto followed = tap->follow(); !followed) return followed.error();
    return tap;
  }
  return removed(instance);
}

Result<Tap::Source> Tap::open_source() const {
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const std::uint64_t epoch = control_segment_->layout().epoch.load(std::memory_order_acquire);
    auto object = Object::open(pool_name(instance_, epoch));
    auto pool = control_segment_->open_pool(Access::read_only);
    if (!pool) return pool.error();
    if (object && (*pool)->epoch() == epoch && (*object)->still_named()) {
      return Source{std::move(*pool), std::move(*object)};
    }
  }
  return removed(instance_);
}

// Look into the pool that frames go through now. Whatever is wrong with the next one, the old one can still be seen.
Status Tap::follow() {
  const ControlLayout& layout = control_segment_->layout();
  if (layout.header.state.load(std::memory_order_acquire) == SegmentState::removed || !named_->still_named())
    return removed(instance_);
  const bool current = source_.pool && source_.pool->epoch() == layout.epoch.load(std::memory_order_acquire) &&
                       source_.object->still_named();
  if (current) return {};
  auto source = open_source();
  if (source) {
    source_ = std::move(*source);
  } else if (!source_.pool) {
    return source.error();
  }
  return {};
}

std::vector<Tap::Candidate> Tap::newest_first(std::uint64_t after, Want want) const {
  std::vector<Candidate> found;
  for (std::uint32_t slot = 0; slot < geometry().slots; ++slot) {
    const auto word = StateWord::unpack(source_.pool->word(slot).load(std::memory_order_acquire));
    const bool too_early =
        want == Want::result && (word.state == SlotState::ready || word.state == SlotState::inferring);
    if (word.sequence > after && holds_a_frame(word) && !too_early) found.push_back({slot, word});
  }
  std::sort(found.begin(), found.end(),
            [](const Candidate& a, const Candidate& b) { return a.word.sequence > b.word.sequence; });
  return found;
}

// The slot was not claimed anew, nor went back to a device: image and, where there was one, result are as they were.
bool Tap::still_holds(const Candidate& candidate) const {
  std::atomic_thread_fence(std::memory_order_acquire);  // the copy before the look
  const auto now = StateWord::unpack(source_.pool->word(candidate.slot).load(std::memory_order_relaxed));
  return now.sequence == candidate.word.sequence && holds_a_frame(now);
}

Result<bool> Tap::read(const Candidate& candidate, std::size_t offset, std::byte* to, std::size_t bytes) const {
  for (std::size_t done = 0; done < bytes; done += kPiece) {
    const std::size_t piece = std::min(kPiece, bytes - done);
    if (auto got = source_.object->read(offset + done, to + done, piece); !got) return got.error();
    if (!still_holds(candidate)) return false;
  }
  return true;
}

Result<Tap::Copied> Tap::copy(const Candidate& candidate, Want want) {
  const PoolOffsets offsets(geometry());
  FrameDescriptor descriptor;
  auto whole = read(candidate, offsets.descriptors + candidate.slot * kDescriptorStride,
                    reinterpret_cast<std::byte*>(&descriptor), sizeof descriptor);
  if (!whole) return whole.error();
  if (!*whole) return Copied::overtaken;
  // Claimed and given back without a frame, or damaged.
  if (descriptor.sequence != candidate.word.sequence || !descriptor.check(geometry())) return Copied::none;
  const bool with_mask = has_result(candidate.word, descriptor);
  if (want == Want::result && !with_mask) return Copied::none;

  scratch_.image.resize(geometry().image_bytes());
  scratch_.mask.resize(with_mask ? geometry().mask_words() : 0);
  const std::size_t at = offsets.payload + candidate.slot * geometry().slot_stride();
  whole = read(candidate, at, scratch_.image.data(), scratch_.image.size());
  if (whole && *whole) {
    whole = read(candidate, at + geometry().mask_offset(), reinterpret_cast<std::byte*>(scratch_.mask.data()),
                 scratch_.mask.size() * sizeof(std::uint64_t));
  }
  if (!whole) return whole.error();
  if (!*whole) return Copied::overtaken;
  keep_what_stands_still(descriptor, with_mask);
  scratch_.sequence = candidate.word.sequence;
  scratch_.state = candidate.word.state;
  scratch_.geometry = geometry();
  scratch_.descriptor = descriptor;
  return Copied::whole;
}

Result<bool> Tap::latest(TapFrame& into, Want want) {
  if (auto followed = follow(); !followed) return followed.error();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    bool overtaken = false;
    for (const Candidate& candidate : newest_first(into.sequence, want)) {
      auto copied = copy(candidate, want);
      if (!copied) return copied.error();
      if (*copied == Copied::whole) {
        std::swap(scratch_, into);
        return true;
      }
      overtaken = *copied == Copied::overtaken;
      if (overtaken) break;  // there is a newer one by now
    }
    if (!overtaken) return false;
  }
  return Error{"tap.overrun",
               "each of " + std::to_string(kTries) + " frames was overwritten before its copy was complete",
               "the frames themselves are still processed",
               "look again; with more pool.slots a frame stays in its slot for longer"};
}

}  // namespace peaknet::shm
