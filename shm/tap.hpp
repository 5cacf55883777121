// Tap: a monitor's look at the newest frame. It owns nothing, changes nothing and is not seen by anybody.
//
//   auto tap = peaknet::shm::Tap::open("mfx");
//   peaknet::shm::TapFrame frame;
//   while (watching()) {
//     if (auto fresh = (*tap)->latest(frame, peaknet::shm::Tap::Want::result); fresh && *fresh) show(frame);
//     sleep_until_the_next_look();
//   }
//
// Everything is opened for reading alone: no participant id, no lock, no page that could be written. So it needs only
// the right to read (pool.mode 0640 gives it to the group without letting the group write), it may die at any moment,
// and a forked child may go on with its parent's tap. No producer, device or writer ever waits for a tap; a frame that
// nobody has asked for passes unseen. One thread uses one Tap at a time; a process may have several.
//
// A frame can be seen from its commit until its slot is claimed again, so also when a writer is done with it. It is
// copied while its owner may go on: the state word says before the copy what is in the slot, and after the copy (and
// between its pieces) that the slot was not claimed anew, else the copy is thrown away. What a TapFrame holds is whole.
//
// The bytes are copied by the kernel, with pread of the shared-memory object, not through the mapping: producers fill
// slots with plain stores of their own, and a load of this program beside such a store would be a data race, whatever
// is checked afterwards. A system call that copies is outside of that rule, ThreadSanitizer has nothing to suppress,
// and if a member of the group cuts the object short this is an error and not a SIGBUS. The state words alone are read
// through the (read-only) mapping; they are atomics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::shm {

// A private copy of one frame. Keep it for the next call: its memory is used again.
struct TapFrame {
  std::uint64_t sequence = 0;         // rises from frame to frame of an instance; 0: nothing was copied yet
  SlotState state = SlotState::free;  // where the frame was when it was found; free: its life was over
  Geometry geometry;
  // The producer's part always. The daemon's part (run, result_status, take_ns, done_ns) only with a result, blank
  // before. Always blank: write_ns and last_writer, which are a writer's notes.
  FrameDescriptor descriptor;
  std::vector<std::byte> image;     // geometry.image_bytes()
  std::vector<std::uint64_t> mask;  // geometry.mask_words() if there is a result, else empty
};

class Tap {
 public:
  // Errors: shm.absent, shm.denied, shm.cannot-open, directory.*, pool.* (pool.none while peaknetd has made no pool).
  static Result<std::unique_ptr<Tap>> open(const std::string& instance);
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  enum class Want {
    frame,   // the newest frame that was committed
    result,  // the newest one that has a mask
  };
  // Copies the newest frame into `into` if it is newer than what `into` holds. False: there is none, `into` is as it
  // was. When peaknetd changes the pool this moves over by itself. Never waits; look as often as you like to see
  // something new. Errors: instance.removed (open a new tap, with a new TapFrame), tap.overrun (every frame that was
  // tried was overwritten before its copy was complete; `into` is as it was), shm.too-small.
  Result<bool> latest(TapFrame& into, Want want = Want::frame);

  const Geometry& geometry() const;  // of the pool that the last call looked into

 private:
  class Object;  // an object of /dev/shm, open for reading
  struct Source {
    std::shared_ptr<Pool> pool;
    std::unique_ptr<Object> object;
  };
  struct Candidate {
    std::uint32_t slot;
    StateWord word;
  };
  enum class Copied { whole, none, overtaken };

  Tap(std::string instance, std::shared_ptr<ControlSegment> control_segment, std::unique_ptr<Object> named);
  Result<Source> open_source() const;
  Status follow();
  std::vector<Candidate> newest_first(std::uint64_t after, Want want) const;
  Result<Copied> copy(const Candidate& candidate, Want want);
  bool still_holds(const Candidate& candidate) const;
  Result<bool> read(const Candidate& candidate, std::size_t offset, std::byte* to, std::size_t bytes) const;

  std::string instance_;
  std::shared_ptr<ControlSegment> control_segment_;
  std::unique_ptr<Object> named_;  // the control segment's object
  Source source_;
  TapFrame scratch_;  // what is being copied; changes places with the caller's when it is whole
};

}  // namespace peaknet::shm
