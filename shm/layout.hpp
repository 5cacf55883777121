// Layout of the shared memory of one instance. Fixed, offsets only: no pointers, no heap, no locks, nothing whose size
// a compiler may choose.
//
//   /peaknet.<instance>            control segment: header | daemon | run | devices | times | history | indexing |
//                                  participants
//   /peaknet.<instance>.g<epoch>   the pool of one epoch: header | state words | descriptors | table of columns, if it
//                                  has any | slots (2 MiB aligned)
//
// peaknetd alone creates, renames into place and unlinks them; everybody else attaches. Epochs are numbered from 1.
// A change of any struct here changes kLayoutHash: a program with another hash is refused at attach, naming both.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/columns.hpp"
#include "shm/counters.hpp"
#include "shm/descriptor.hpp"
#include "shm/event_count.hpp"
#include "shm/histogram.hpp"
#include "shm/history.hpp"
#include "shm/indexing.hpp"
#include "shm/shared_text.hpp"
#include "shm/state_word.hpp"

namespace peaknet::shm {

inline constexpr std::uint64_t kControlMagic = 0x3152'4944'4b41'4550;  // "PEAKDIR1"
inline constexpr std::uint64_t kPoolMagic = 0x314c'4f50'4b41'4550;     // "PEAKPOL1"
inline constexpr std::uint32_t kAbiMajor = 2;
inline constexpr std::uint32_t kAbiMinor = 0;
inline constexpr std::uint32_t kMaxParticipants = 256;  // ids 1..255; 0 is nobody
inline constexpr std::uint32_t kMaxDevices = 16;

enum class SegmentState : std::uint32_t { building = 0, live = 1, retired = 2, removed = 3 };

// What the daemon is doing (docs/design.md, section 7).
enum class DaemonState : std::uint32_t { absent = 0, starting = 1, idle = 2, running = 3, draining = 4, failed = 5 };
constexpr const char* name(DaemonState state) {
  constexpr std::array<const char*, 6> kNames = {"absent", "starting", "idle", "running", "draining", "failed"};
  return static_cast<std::uint32_t>(state) < kNames.size() ? kNames[static_cast<std::uint32_t>(state)] : "impossible";
}

enum class Role : std::uint32_t { none = 0, producer = 1, daemon = 2, writer = 3 };
constexpr const char* name(Role role) {
  constexpr std::array<const char*, 4> kNames = {"none", "producer", "daemon", "writer"};
  return static_cast<std::uint32_t>(role) < kNames.size() ? kNames[static_cast<std::uint32_t>(role)] : "impossible";
}

enum class Presence : std::uint32_t { never = 0, attached = 1, left = 2 };

struct SegmentHeader {  // the first bytes of both objects
  std::uint64_t magic = 0;
  std::uint32_t abi_major = 0;
  std::uint32_t abi_minor = 0;
  std::uint64_t layout_hash = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t instance_uuid = 0;  // random, made with the control segment; the pools of it carry the same
  std::atomic<SegmentState> state{SegmentState::building};
};

// Written by the daemon alone.
struct alignas(64) DaemonRecord {
  std::atomic<DaemonState> state{DaemonState::absent};
  std::atomic<std::uint32_t> pid{0};
  std::atomic<std::int64_t> started_ns{0};  // CLOCK_REALTIME
  std::atomic<std::int64_t> state_since_ns{0};
  std::atomic<std::int64_t> heartbeat_ns{0};  // CLOCK_MONOTONIC, of the supervisor loop
  std::atomic<std::uint64_t> starts{0};       // how often a daemon took this instance
  std::atomic<double> committed_per_s{0}, inferred_per_s{0}, written_per_s{0}, filtered_per_s{0};  // in the last second
  std::atomic<double> file_bytes_per_s{0};     // into files, over the last minute
  std::atomic<std::int64_t> full_since_ns{0};  // CLOCK_MONOTONIC: no slot has been free since; 0: one is
  SharedText<128> endpoint;                    // control socket, as clients must name it
  SharedText<128> monitor;                     // read-only control socket
  SharedText<256> model;                       // path or builtin
  SharedText<72> model_sha256;
  SharedText<64> version;
  SharedText<512> failure;  // cause of the state `failed`, or the last warning
  SharedText<256> host;
};

// A model that made results, with the bad pixels that its input left out, so that each of them can say by which it was
// made. Written by the daemon alone, before the first result with its number is published. Numbers are counted from 1,
// over all daemons of the instance; number n lies at (n - 1) % kModels, so a number is found as long as fewer than
// kModels others came after it.
struct alignas(64) ModelRecord {
  std::atomic<std::uint64_t> number{0};   // 0: never used; written last
  std::atomic<std::int64_t> since_ns{0};  // CLOCK_REALTIME
  SharedText<256> path;                   // or builtin
  SharedText<72> sha256;                  // "" for a builtin
  SharedText<16> kind;                    // torchscript, package, builtin
  SharedText<128> golden;                 // how it did on its stored input
  SharedText<128> rows;                   // that it runs with: "1, 2, 4", or "any"
  SharedText<24> bad_pixels;              // digest of preprocess.bad_pixels as it had them; "" without
};
inline constexpr std::size_t kModels = 16;

// Written by the daemon alone. `base` are the totals when the run began, so that a run has counters of its own.
struct alignas(64) RunRecord {
  SharedText<32> id;
  std::atomic<std::uint64_t> ordinal{0};  // 0: no run yet
  std::atomic<std::int64_t> started_ns{0};
  std::atomic<std::int64_t> ended_ns{0};           // 0: still going on
  std::atomic<std::uint64_t> close_generation{0};  // raised when writers must finish their files
  std::array<std::atomic<std::uint64_t>, kCounterLines> base{};
};

// What was said of a run when it began (run_facts.hpp). Written by the daemon alone; that of run n lies at
// n % kRunFacts, so that frames which outlived their run still find it.
struct alignas(64) RunFactsRecord {
  std::atomic<std::uint64_t> ordinal{0};  // of RunRecord; 0: none, or it is being written
  std::atomic<std::int64_t> number{-1};   // -1: not said
  SharedText<32> run;                     // its id
  SharedText<32> proposal;                // "": not said
  SharedText<128> user;                   // "": not said
};
inline constexpr std::size_t kRunFacts = 8;

// Written by the worker of that device alone.
struct alignas(64) DeviceRecord {
  SharedText<32> name;   // "cpu", "cuda:0"; "" for an unused record
  SharedText<16> state;  // loading, warming, ready, lost
  SharedText<16> h2d_mode;
  SharedText<256> error;
  SharedText<160> graphs;  // which batches replay a recorded graph, or why none does; "": the device has none
  std::atomic<std::uint32_t> depth{0};
  std::atomic<std::uint32_t> batch{0};         // events in the largest bucket now
  std::atomic<std::uint32_t> rows_at_once{0};  // panels that the network gets at most in one run now
  std::atomic<std::uint32_t> in_flight{0};     // frames held by the worker
  std::atomic<std::uint64_t> frames{0}, batches{0}, padded_rows{0}, model_errors{0}, rebuffers{0};
  std::atomic<std::uint64_t> busy_ns{0};                    // time the compute stream worked
  std::atomic<std::uint64_t> split{0};                      // events that ran in several passes
  std::atomic<std::uint64_t> retried{0};                    // frames that ran again after a failure of their batch
  std::atomic<std::uint64_t> shrinks{0};                    // how often the largest batch had to become smaller
  std::atomic<std::uint64_t> transfers{0};                  // of images to the device: one for a run of slots
  std::atomic<std::uint64_t> fatal_frames{0};               // frames that took two devices down
  std::atomic<std::uint64_t> skipped{0};                    // frames it passed over (shedding)
  std::array<std::atomic<std::uint64_t>, 5> waited_ns{};    // no frame, no lane, forming, stopped, writer behind
  std::array<std::atomic<std::uint64_t>, 9> batch_sizes{};  // by bucket, smallest first
  std::array<std::atomic<std::uint32_t>, 9> buckets{};
};

// How much the devices leave out (daemon/engine/shedding.hpp). Written by the daemon alone.
struct alignas(64) ShedRecord {
  std::atomic<std::uint32_t> levels{0};       // of shedding, with the usual one; 0: shedding is off
  std::atomic<std::uint32_t> level{0};        // now; 0: nothing is left out
  std::atomic<std::uint32_t> keep_one_of{1};  // of so many frames one is processed
  std::atomic<std::uint64_t> raises{0}, lowerings{0};
  std::atomic<std::int64_t> since_ns{0};  // CLOCK_REALTIME, of the last step
  SharedText<128> effort;                 // what this level means
};

// One operation that changes the counters, written down before it is done; see Participant::exchange_counted.
struct IntentRecord {
  std::atomic<std::uint64_t> old_word{0};  // the slot's word before; 0: nothing is being done
  std::atomic<std::uint64_t> new_word{0};
  std::atomic<std::uint32_t> slot{0};
  std::atomic<std::uint32_t> rule{0};  // IntentRule
  std::atomic<std::uint32_t> counter{0};
  std::atomic<std::uint64_t> value{0};  // of the counter, after
};

// One kind of error that a participant met. Written like the record it is in; outlives the participant.
inline constexpr std::size_t kErrorTextBytes = 256;  // with the zero at the end
struct ErrorRecord {
  SharedText<48> id;                 // Error::id; "": unused
  SharedText<kErrorTextBytes> text;  // of the last one
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::int64_t> first_ns{0}, last_ns{0};  // CLOCK_REALTIME
};
inline constexpr std::size_t kErrorKinds = 12;  // per participant; a further kind takes the place of the oldest

inline constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

// Written by the participant with that id alone, or by whoever holds its lock after its death.
struct alignas(64) ParticipantRecord {
  std::atomic<std::uint64_t> number{0};  // of this incarnation, unique; 0: never used
  std::atomic<Presence> presence{Presence::never};
  std::atomic<Role> role{Role::none};
  std::atomic<std::uint32_t> pid{0};
  std::atomic<std::uint32_t> uid{0};
  std::atomic<std::int64_t> attached_ns{0};         // CLOCK_REALTIME
  std::atomic<std::uint64_t> closed_generation{0};  // writers: files finished up to this RunRecord::close_generation
  std::atomic<std::uint64_t> epoch{0};              // of the pool whose slots it may hold; 0: it has none yet
  std::atomic<std::uint64_t> held{0};               // writers: frames written but not yet durable; producers: messages
                                                    // received and not yet brought into the pool (hint)
  std::atomic<std::int64_t> holding_since_ns{0};    // writers, CLOCK_REALTIME: it has not written since; 0: it writes
  std::atomic<std::uint64_t> output_free_bytes{kUnknownBytes};  // writers: of the folder of the files
  SharedText<64> label;                                         // what it calls itself
  SharedText<256> note;                                         // writers: current file, or why it waits
  alignas(64) IntentRecord intent;
  alignas(64) CounterLine counters{};                       // cumulative over all incarnations of the id
  CounterLine base{};                                       // counters when this incarnation attached
  alignas(64) std::array<ErrorRecord, kErrorKinds> errors;  // of all incarnations of the id
};

struct ControlLayout {
  SegmentHeader header;
  alignas(64) std::atomic<std::uint64_t> epoch{0};  // of the live pool; 0: none yet
  alignas(64) std::atomic<std::uint64_t> next_sequence{1};
  alignas(64) std::atomic<std::uint64_t> next_number{1};
  alignas(64) EventCount control_event;  // writers finished, participants came or went: the daemon's supervisor looks
  DaemonRecord daemon;
  RunRecord run;
  std::array<RunFactsRecord, kRunFacts> run_facts;
  std::array<ModelRecord, kModels> models;
  std::array<DeviceRecord, kMaxDevices> devices;
  ShedRecord shedding;
  std::array<Histogram, kStages> stages;
  PeakHistogram peaks;  // of a frame of the run that a writer looked at, hit or not
  History history;
  IndexingRecord indexing;  // of peaknet-live
  std::array<ParticipantRecord, kMaxParticipants> participants;
};

struct PoolHeader {
  SegmentHeader header;
  std::uint64_t epoch = 0;
  std::uint32_t slots = 0, panels = 0, height = 0, width = 0;
  std::uint32_t pixel_type = 0;
  std::uint32_t full_policy = 0;  // FullPolicy: what a claim does when no slot is free
  // A pool that `rebuffer` asked for: what the configuration said then (slots, panels, height, width, pixel type), so
  // that the next peaknetd tells a wish that still holds from a file that was changed since. 0: made as configured.
  std::array<std::uint32_t, 5> in_place_of{};
  std::uint32_t columns = 0, side_bytes = 0;  // of Geometry
  alignas(64) EventCount ready_event;         // Q1: a frame was committed or redelivered
  alignas(64) EventCount done_event;          // Q2: a result was published or redelivered, or writers must finish
  alignas(64) EventCount free_event;          // a slot became free
};

enum class FullPolicy : std::uint32_t { block = 0, drop_newest = 1, drop_oldest = 2 };
constexpr const char* name(FullPolicy policy) {
  constexpr std::array<const char*, 3> kNames = {"block", "drop_newest", "drop_oldest"};
  return static_cast<std::uint32_t>(policy) < kNames.size() ? kNames[static_cast<std::uint32_t>(policy)] : "impossible";
}

static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);

// FNV-1a over the numbers that two programs must agree on.
constexpr std::uint64_t layout_hash() {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::uint64_t value : {std::uint64_t{kAbiMajor},
                                    std::uint64_t{sizeof(ControlLayout)},
                                    std::uint64_t{sizeof(PoolHeader)},
                                    std::uint64_t{sizeof(FrameDescriptor)},
                                    std::uint64_t{kDescriptorStride},
                                    std::uint64_t{sizeof(SegmentHeader)},
                                    std::uint64_t{sizeof(DaemonRecord)},
                                    std::uint64_t{sizeof(RunRecord)},
                                    std::uint64_t{sizeof(RunFactsRecord)},
                                    std::uint64_t{sizeof(ModelRecord)},
                                    std::uint64_t{offsetof(ModelRecord, bad_pixels)},
                                    std::uint64_t{sizeof(DeviceRecord)},
                                    std::uint64_t{sizeof(ParticipantRecord)},
                                    std::uint64_t{sizeof(IntentRecord)},
                                    std::uint64_t{sizeof(ErrorRecord)},
                                    std::uint64_t{sizeof(Histogram)},
                                    std::uint64_t{sizeof(PeakHistogram)},
                                    std::uint64_t{sizeof(History)},
                                    std::uint64_t{sizeof(HistoryPoint)},
                                    std::uint64_t{kMeasures},
                                    std::uint64_t{sizeof(IndexingRecord)},
                                    std::uint64_t{sizeof(IndexingFigures)},
                                    std::uint64_t{kCounters},
                                    std::uint64_t{kStages},
                                    std::uint64_t{kSlotStates},
                                    std::uint64_t{kPage},
                                    std::uint64_t{kPayloadAlignment},
                                    std::uint64_t{offsetof(FrameDescriptor, producer)},
                                    std::uint64_t{offsetof(FrameDescriptor, photon_energy_ev)},
                                    std::uint64_t{offsetof(FrameDescriptor, panels)},
                                    std::uint64_t{offsetof(FrameDescriptor, claim_ns)},
                                    std::uint64_t{offsetof(FrameDescriptor, source_run)},
                                    std::uint64_t{offsetof(FrameDescriptor, sequence)},
                                    std::uint64_t{offsetof(FrameDescriptor, encoder_value)},
                                    std::uint64_t{offsetof(FrameDescriptor, fiducial)},
                                    std::uint64_t{offsetof(PoolHeader, columns)},
                                    std::uint64_t{offsetof(PoolHeader, side_bytes)},
                                    std::uint64_t{sizeof(ColumnRecord)},
                                    std::uint64_t{sizeof(SideHeader)},
                                    std::uint64_t{kSideVersion},
                                    std::uint64_t{offsetof(ParticipantRecord, intent)},
                                    std::uint64_t{offsetof(ParticipantRecord, counters)}}) {
    for (int byte = 0; byte < 8; ++byte) {
      hash ^= value >> (8 * byte) & 0xffU;
      hash *= 0x100000001b3ULL;
    }
  }
  return hash;
}
inline constexpr std::uint64_t kLayoutHash = layout_hash();

// Offsets inside a pool object, from the geometry alone.
struct PoolOffsets {
  explicit PoolOffsets(const Geometry& g)
      : words(Geometry::round_up(sizeof(PoolHeader), kPage)),
        descriptors(words + Geometry::round_up(std::size_t{g.slots} * 8, kPage)),
        columns(descriptors + std::size_t{g.slots} * kDescriptorStride),
        payload(Geometry::round_up(columns + std::size_t{g.columns} * sizeof(ColumnRecord), kPayloadAlignment)),
        total(payload + g.slots * g.slot_stride()) {}
  std::size_t words, descriptors, columns, payload, total;
};

std::string control_segment_name(const std::string& instance);            // "/peaknet.<instance>"
std::string pool_name(const std::string& instance, std::uint64_t epoch);  // "/peaknet.<instance>.g<epoch>"

}  // namespace peaknet::shm
