// FrameDescriptor: everything that is known about the frame in a slot, 256 bytes beside the state word.
//
// It belongs to the slot's owner of the moment (see state_word.hpp): the producer fills its part before the commit, the
// daemon adds the run and its times, the writer its own. Ownership passes with the state word (release/acquire), so
// plain memory is enough. A reader that did not write it itself copies it once and checks the copy (`check`), because
// any member of the group may have scribbled on it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.hpp"
#include "shm/geometry.hpp"

namespace peaknet::shm {

// What the devices did with a frame.
enum class ResultStatus : std::uint32_t {
  none = 0,   // not inferred yet
  mask = 1,   // the slot's mask area holds the result
  error = 2,  // the model failed on this frame: there is no mask, the writer counts it as failed{model}
  // No device looked at it, there were too many (shedding): no mask, the writer counts it as dropped{shed}.
  skipped = 3,
};

inline constexpr std::uint32_t kNoFiducial = 0xffff'ffffU;  // 0 is a fiducial like any other

inline constexpr std::uint32_t kFlagNormalised = 1U << 0;  // the image is the network's input, not detector counts

struct FrameDescriptor {
  std::array<char, 32> run{};      // run id, zero-terminated; stamped by the daemon when it takes the frame
  std::uint64_t producer = 0;      // the producer's number: never used twice by one instance
  std::uint64_t producer_seq = 0;  // dense from 0; (producer, producer_seq) names the frame for ever
  std::uint64_t event_id = 0;      // the producer's own number for the event
  std::uint64_t timestamp = 0;     // seconds since 1970 << 32 | nanoseconds; 0: not known
  double photon_energy_ev = std::numeric_limits<double>::quiet_NaN();  // eV; NaN: not known. Never 0
  std::uint32_t pixel_type = 0;                                        // PixelType
  std::uint32_t panels = 0, height = 0, width = 0;
  std::uint32_t original_height = 0,
                original_width = 0;  // before the producer padded; equal to height, width if it did not
  std::uint32_t pad_top = 0, pad_left = 0;
  std::uint32_t flags = 0;
  std::uint32_t result_status = 0;                                                    // ResultStatus
  std::uint64_t claim_ns = 0, commit_ns = 0, take_ns = 0, done_ns = 0, write_ns = 0;  // CLOCK_MONOTONIC
  std::uint64_t last_writer = 0;        // number of the writer that took the frame last; 0: none yet
  std::array<char, 32> source_run{};    // the producer's own name for its run, if it has one
  std::array<std::uint64_t, 4> user{};  // free for the producer
  std::uint64_t sequence = 0;  // of the claim it was committed under: a state word with another one has another frame
  double encoder_value = std::numeric_limits<double>::quiet_NaN();  // where the detector stands, mm; NaN: not known
  std::uint32_t fiducial = kNoFiducial;                             // of the pulse, below 2^31; kNoFiducial: not known
  std::uint64_t model = 0;  // number of the model that made the result (ModelRecord); 0: none

  std::string_view run_id() const { return text(run); }
  std::string_view source_run_id() const { return text(source_run); }
  void set_run(std::string_view id) { set_text(run, id); }
  void set_source_run(std::string_view id) { set_text(source_run, id); }

  // "producer 3 frame 1207"
  std::string frame_name() const;

  // Does this copy describe a frame of the pool? Errors: frame.bad-descriptor, naming the field and both values.
  Status check(const Geometry& geometry) const;

 private:
  static std::string_view text(const std::array<char, 32>& raw) {
    std::size_t n = 0;
    while (n < raw.size() && raw[n] != '\0') ++n;
    return {raw.data(), n};
  }
  static void set_text(std::array<char, 32>& raw, std::string_view id) {
    raw.fill('\0');
    id.copy(raw.data(), raw.size() - 1);
  }
};
inline constexpr std::size_t kDescriptorStride = 256;
static_assert(sizeof(FrameDescriptor) <= kDescriptorStride && std::is_trivially_copyable_v<FrameDescriptor>);

}  // namespace peaknet::shm
