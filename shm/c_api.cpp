// The C ABI over Producer, Consumer and Tap. No exception leaves here, and nothing is exported but what the header
// declares. A frame keeps its producer alive and a result its consumer, so handles may be ended in any order.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shm/clock.hpp"
#include "shm/consumer.hpp"
#include "shm/copy_image.hpp"
#include "shm/peaknet_shm.h"
#include "shm/producer.hpp"
#include "shm/tap.hpp"

namespace shm = peaknet::shm;
using peaknet::Error;

struct peaknet_producer {
  std::shared_ptr<shm::Producer> door;
};
struct peaknet_frame {
  std::shared_ptr<shm::Producer> door;  // before the frame: it goes last
  shm::Frame frame;
  peaknet_info info{};
};

namespace {

struct OpenConsumer {
  std::unique_ptr<shm::Consumer> door;
  std::size_t held = 0;  // results that are not ended
};

}  // namespace

struct peaknet_consumer {
  std::shared_ptr<OpenConsumer> open;
};
struct peaknet_result {
  peaknet_result(std::shared_ptr<OpenConsumer> from, shm::HeldFrame taken)
      : open(std::move(from)), frame(std::move(taken)) {
    ++open->held;
  }
  peaknet_result(const peaknet_result&) = delete;
  peaknet_result& operator=(const peaknet_result&) = delete;
  ~peaknet_result() { --open->held; }
  std::shared_ptr<OpenConsumer> open;  // before the frame: it goes last
  shm::HeldFrame frame;
  peaknet_descriptor descriptor{};
};
struct peaknet_tap {
  std::unique_ptr<shm::Tap> door;
  shm::TapFrame frame{};
  peaknet_descriptor descriptor{};
};

namespace {

struct LastError {
  std::string id, text;
};
LastError& last_error() {
  thread_local LastError error;
  return error;
}

peaknet_status status_of(std::string_view id) {
  struct Number {
    std::string_view id;
    peaknet_status status;
  };
  constexpr Number kNumbers[] = {
      {"api.argument", PEAKNET_E_ARGUMENT},
      {"api.memory", PEAKNET_E_MEMORY},
      {"shm.absent", PEAKNET_E_ABSENT},
      {"shm.denied", PEAKNET_E_DENIED},
      {"shm.world-writable", PEAKNET_E_DENIED},
      {"directory.other-version", PEAKNET_E_VERSION},
      {"pool.other-version", PEAKNET_E_VERSION},
      {"directory.foreign", PEAKNET_E_DAMAGED},
      {"pool.foreign", PEAKNET_E_DAMAGED},
      {"pool.damaged", PEAKNET_E_DAMAGED},
      {"shm.too-small", PEAKNET_E_DAMAGED},
      {"pool.none", PEAKNET_E_NO_POOL},
      {"member.full", PEAKNET_E_MEMBERS_FULL},
      {"instance.bad-name", PEAKNET_E_NAME},
      {"pool.full", PEAKNET_E_POOL_FULL},
      {"instance.removed", PEAKNET_E_REMOVED},
      {"member.forked", PEAKNET_E_FORKED},
      {"frame.lost", PEAKNET_E_LOST},
      {"frame.bad-descriptor", PEAKNET_E_BAD_DESCRIPTOR},
      {"frame.other-shape", PEAKNET_E_SHAPE},
      {"tap.overrun", PEAKNET_E_OVERRUN},
  };
  const auto* found = std::ranges::find(kNumbers, id, &Number::id);
  return found == std::end(kNumbers) ? PEAKNET_E_OTHER : found->status;
}

peaknet_status fail(const Error& error) {
  last_error().id = error.id;
  last_error().text = error.text();
  return status_of(error.id);
}

peaknet_status bad_argument(const char* function, const char* what) {
  return fail({"api.argument", std::string(function) + ": " + what, "nothing was done", "see peaknet_shm.h"});
}

Error forked() {
  return {"member.forked", "this was attached by the parent of this process", "nothing was changed",
          "attach again after a fork"};
}

template <class Body>
peaknet_status guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    last_error().id = "api.memory";  // short enough to need no memory of its own
    last_error().text.clear();
    return PEAKNET_E_MEMORY;
  } catch (const std::exception& failure) {
    return fail({"api.other", failure.what(), "", ""});
  }
}

template <std::size_t Bytes>
void copy_text(char (&to)[Bytes], std::string_view from) {
  std::memset(to, 0, Bytes);
  from.copy(to, Bytes - 1);
}

peaknet_geometry to_c(const shm::Geometry& geometry) {
  return {.slots = geometry.slots,
          .panels = geometry.panels,
          .height = geometry.height,
          .width = geometry.width,
          .pixel_type = static_cast<peaknet_pixel_type>(geometry.pixel_type),
          .mask_words_per_row = static_cast<std::uint32_t>(geometry.words_per_row()),
          .image_bytes = geometry.image_bytes(),
          .mask_bytes = geometry.mask_bytes()};
}

peaknet_info info_of(const shm::FrameDescriptor& from) {
  peaknet_info info{};
  info.event_id = from.event_id;
  info.timestamp = from.timestamp;
  info.photon_energy_ev = from.photon_energy_ev;
  info.encoder_value = from.encoder_value;
  copy_text(info.source_run, from.source_run_id());
  info.flags = from.flags;
  info.original_height = from.original_height;
  info.original_width = from.original_width;
  info.pad_top = from.pad_top;
  info.pad_left = from.pad_left;
  info.fiducial = from.fiducial;
  std::ranges::copy(from.user, info.user);
  return info;
}

void apply(const peaknet_info& info, shm::FrameDescriptor& to) {
  to.event_id = info.event_id;
  to.timestamp = info.timestamp;
  to.photon_energy_ev = info.photon_energy_ev;
  to.encoder_value = info.encoder_value;
  to.set_source_run({info.source_run, strnlen(info.source_run, sizeof info.source_run)});
  to.flags = info.flags;
  to.original_height = info.original_height;
  to.original_width = info.original_width;
  to.pad_top = info.pad_top;
  to.pad_left = info.pad_left;
  to.fiducial = info.fiducial;
  std::ranges::copy(info.user, to.user.begin());
}

peaknet_descriptor to_c(const shm::FrameDescriptor& from, std::uint64_t sequence, std::uint32_t attempts,
                        shm::SlotState state) {
  peaknet_descriptor to{};
  to.info = info_of(from);
  copy_text(to.run, from.run_id());
  to.producer = from.producer;
  to.producer_seq = from.producer_seq;
  to.sequence = sequence;
  to.last_writer = from.last_writer;
  to.attempts = attempts;
  to.result = from.result_status;
  to.state = static_cast<peaknet_slot_state>(state);
  to.pixel_type = from.pixel_type;
  to.panels = from.panels;
  to.height = from.height;
  to.width = from.width;
  to.claim_ns = from.claim_ns;
  to.commit_ns = from.commit_ns;
  to.take_ns = from.take_ns;
  to.done_ns = from.done_ns;
  return to;
}

// What a frame is; the slots and sizes that follow from it are the pool's.
shm::Geometry frames_of(const peaknet_geometry& from) {
  return {.panels = from.panels,
          .height = from.height,
          .width = from.width,
          .pixel_type = static_cast<peaknet::PixelType>(from.pixel_type)};
}

Error other_shape(const shm::Geometry& pixels, const shm::Geometry& pool) {
  return {"frame.other-shape", "the pixels are " + describe(pixels) + ", the pool's frames are " + describe(pool),
          "nothing was copied; the frame never existed",
          "if the pool was changed, ask for its geometry again; otherwise make pool.shape and pool.dtype in peaknetd's "
          "configuration those of the detector"};
}

// Checks and hands over. The frame is given back if this fails.
peaknet_status commit(shm::Producer& door, shm::Frame& frame, std::uint64_t* producer_seq) {
  if (auto good = frame.info().check(door.geometry()); !good) return fail(good.error());
  const std::uint64_t number = door.committed();
  if (auto committed = frame.commit(); !committed) return fail(committed.error());
  if (producer_seq != nullptr) *producer_seq = number;
  return PEAKNET_OK;
}

// How long a claim may take, the part of it that is over, and what one call of it waits at most.
struct Patience {
  std::int64_t timeout_ns = 0, waited_ns = 0, step_ns = 0;
};
constexpr std::int64_t kStepNs = std::chrono::nanoseconds(shm::kWaitSlice).count();

// A frame, or why there is none: NOTHING when the step is over and the time-out is not.
struct Claimed {
  peaknet_status status = PEAKNET_OK;
  std::optional<shm::Frame> frame;
};

Claimed claim(const char* function, peaknet_producer* producer, const Patience& patience) {
  if (producer == nullptr) return {bad_argument(function, "the producer is NULL"), std::nullopt};
  if (patience.timeout_ns < 0 || patience.waited_ns < 0)
    return {bad_argument(function, "the time-out is negative"), std::nullopt};
  const auto in = [](std::int64_t span) { return std::chrono::nanoseconds(span); };
  auto claimed = producer->door->claim_step(in(patience.timeout_ns), in(patience.waited_ns), in(patience.step_ns));
  if (!claimed) return {fail(claimed.error()), std::nullopt};
  if (!*claimed) return {PEAKNET_NOTHING, std::nullopt};
  return {PEAKNET_OK, std::move(*claimed)};
}

peaknet_status claim_in_steps(const char* function, peaknet_producer* producer, const Patience& patience,
                              peaknet_frame** frame) {
  return guarded([&]() -> peaknet_status {
    if (frame == nullptr) return bad_argument(function, "no place for the frame was given");
    *frame = nullptr;
    auto claimed = claim(function, producer, patience);
    if (!claimed.frame) return claimed.status;
    const peaknet_info info = info_of(claimed.frame->info());
    *frame = new peaknet_frame{producer->door, std::move(*claimed.frame), info};
    return PEAKNET_OK;
  });
}

// What is put: see peaknet_put.
struct Pixels {
  const void* at = nullptr;
  const peaknet_geometry* shape = nullptr;
  const peaknet_info* info = nullptr;
};

peaknet_status put_in_steps(const char* function, peaknet_producer* producer, const Pixels& pixels,
                            const Patience& patience, std::uint64_t* producer_seq) {
  return guarded([&]() -> peaknet_status {
    if (pixels.at == nullptr || pixels.shape == nullptr) return bad_argument(function, "no pixels, or not their shape");
    auto claimed = claim(function, producer, patience);
    if (!claimed.frame) return claimed.status;
    shm::Frame& frame = *claimed.frame;
    shm::Producer& door = *producer->door;
    // Only now: the claim may have moved over to another pool.
    const shm::Geometry& pool = door.geometry();
    if (const auto given = frames_of(*pixels.shape); !given.same_frames(pool)) return fail(other_shape(given, pool));
    shm::copy_image(frame.image().data(), {static_cast<const std::byte*>(pixels.at), pool.image_bytes()});
    if (pixels.info != nullptr) {
      peaknet_info said = *pixels.info;
      if (said.original_height == 0 && said.original_width == 0) {
        said.original_height = pool.height;
        said.original_width = pool.width;
      }
      apply(said, frame.info());
    }
    return commit(door, frame, producer_seq);
  });
}

// A pool of another geometry is published when the old one is empty: then nothing of it can reach us any more.
void follow_pool(OpenConsumer& open) {
  shm::Member& member = open.door->member();
  if (member.pool_is_live() || open.held > 0) return;
  const auto free = member.pool().count_states()[static_cast<std::size_t>(shm::SlotState::free)];
  // An error means that the next pool is not there yet; the next call looks again.
  if (free == member.pool().geometry().slots) static_cast<void>(member.follow_epoch().ok());
}

}  // namespace

extern "C" {

const char* peaknet_last_error(void) {
  const LastError& error = last_error();
  return error.text.empty() ? error.id.c_str() : error.text.c_str();
}
const char* peaknet_last_error_id(void) { return last_error().id.c_str(); }
int32_t peaknet_abi(void) { return PEAKNET_ABI; }
const char* peaknet_version(void) { return PEAKNET_SHM_VERSION; }

// --- producer
// ---------------------------------------------------------------------------------------------------------

peaknet_status peaknet_producer_attach(const char* instance, const char* label, peaknet_policy policy,
                                       peaknet_producer** producer) {
  return guarded([&]() -> peaknet_status {
    if (producer == nullptr) return bad_argument("peaknet_producer_attach", "no place for the producer was given");
    *producer = nullptr;
    if (instance == nullptr || label == nullptr) return bad_argument("peaknet_producer_attach", "a text is NULL");
    if (policy < PEAKNET_POOL_POLICY || policy > PEAKNET_DROP_OLDEST)
      return bad_argument("peaknet_producer_attach", "there is no such policy");
    shm::ProducerOptions options{.label = label};
    if (policy != PEAKNET_POOL_POLICY) options.full = static_cast<shm::FullPolicy>(policy);
    auto attached = shm::Producer::attach(instance, options);
    if (!attached) return fail(attached.error());
    *producer = new peaknet_producer{std::move(*attached)};
    return PEAKNET_OK;
  });
}

void peaknet_producer_detach(peaknet_producer* producer) { delete producer; }

peaknet_status peaknet_producer_geometry(const peaknet_producer* producer, peaknet_geometry* geometry) {
  return guarded([&]() -> peaknet_status {
    if (producer == nullptr || geometry == nullptr) return bad_argument("peaknet_producer_geometry", "NULL");
    *geometry = to_c(producer->door->geometry());
    return PEAKNET_OK;
  });
}

uint64_t peaknet_producer_number(const peaknet_producer* producer) {
  return producer == nullptr ? 0 : producer->door->number();
}

peaknet_status peaknet_claim(peaknet_producer* producer, int64_t timeout_ns, peaknet_frame** frame) {
  return claim_in_steps("peaknet_claim", producer, {timeout_ns, 0, timeout_ns}, frame);
}

peaknet_status peaknet_claim_step(peaknet_producer* producer, int64_t timeout_ns, int64_t waited_ns,
                                  peaknet_frame** frame) {
  return claim_in_steps("peaknet_claim_step", producer, {timeout_ns, waited_ns, kStepNs}, frame);
}

void* peaknet_frame_image(peaknet_frame* frame) { return frame == nullptr ? nullptr : frame->frame.image().data(); }
peaknet_status peaknet_copy_image(void* to, const void* from, uint64_t bytes) {
  return guarded([&]() -> peaknet_status {
    if (to == nullptr || from == nullptr) return bad_argument("peaknet_copy_image", "a place is NULL");
    shm::copy_image(static_cast<std::byte*>(to), {static_cast<const std::byte*>(from), bytes});
    return PEAKNET_OK;
  });
}
peaknet_info* peaknet_frame_info(peaknet_frame* frame) { return frame == nullptr ? nullptr : &frame->info; }

peaknet_status peaknet_commit(peaknet_frame* frame, uint64_t* producer_seq) {
  return guarded([&]() -> peaknet_status {
    if (frame == nullptr) return bad_argument("peaknet_commit", "the frame is NULL");
    const std::unique_ptr<peaknet_frame> ended(frame);
    if (frame->door->member().inherited()) return fail(forked());
    apply(frame->info, frame->frame.info());
    return commit(*frame->door, frame->frame, producer_seq);
  });
}

void peaknet_abandon(peaknet_frame* frame) { delete frame; }

void peaknet_info_unknown(peaknet_info* info) {
  if (info != nullptr) *info = info_of({});
}

peaknet_status peaknet_put(peaknet_producer* producer, const void* pixels, const peaknet_geometry* shape,
                           const peaknet_info* info, int64_t timeout_ns, uint64_t* producer_seq) {
  return put_in_steps("peaknet_put", producer, {pixels, shape, info}, {timeout_ns, 0, timeout_ns}, producer_seq);
}

peaknet_status peaknet_put_step(peaknet_producer* producer, const void* pixels, const peaknet_geometry* shape,
                                const peaknet_info* info, int64_t timeout_ns, int64_t waited_ns,
                                uint64_t* producer_seq) {
  return put_in_steps("peaknet_put_step", producer, {pixels, shape, info}, {timeout_ns, waited_ns, kStepNs},
                      producer_seq);
}

// --- consumer
// ---------------------------------------------------------------------------------------------------------

peaknet_status peaknet_consumer_attach(const char* instance, const char* label, peaknet_consumer** consumer) {
  return guarded([&]() -> peaknet_status {
    if (consumer == nullptr) return bad_argument("peaknet_consumer_attach", "no place for the consumer was given");
    *consumer = nullptr;
    if (instance == nullptr || label == nullptr) return bad_argument("peaknet_consumer_attach", "a text is NULL");
    auto attached = shm::Consumer::attach(instance, shm::Queue::q2, label);
    if (!attached) return fail(attached.error());
    *consumer = new peaknet_consumer{std::make_shared<OpenConsumer>(OpenConsumer{std::move(*attached)})};
    return PEAKNET_OK;
  });
}

void peaknet_consumer_detach(peaknet_consumer* consumer) { delete consumer; }

peaknet_status peaknet_consumer_geometry(const peaknet_consumer* consumer, peaknet_geometry* geometry) {
  return guarded([&]() -> peaknet_status {
    if (consumer == nullptr || geometry == nullptr) return bad_argument("peaknet_consumer_geometry", "NULL");
    *geometry = to_c(consumer->open->door->geometry());
    return PEAKNET_OK;
  });
}

peaknet_status peaknet_take(peaknet_consumer* consumer, int64_t timeout_ns, peaknet_result** result) {
  return guarded([&]() -> peaknet_status {
    if (result == nullptr) return bad_argument("peaknet_take", "no place for the result was given");
    *result = nullptr;
    if (consumer == nullptr) return bad_argument("peaknet_take", "the consumer is NULL");
    if (timeout_ns < 0) return bad_argument("peaknet_take", "the time-out is negative");
    OpenConsumer& open = *consumer->open;
    shm::Consumer& door = *open.door;
    if (door.member().inherited()) return fail(forked());
    const std::int64_t start = shm::monotonic_ns();
    for (;;) {
      follow_pool(open);
      auto taken = door.take(1);
      if (!taken.frames.empty()) {
        auto held = std::make_unique<peaknet_result>(consumer->open, std::move(taken.frames.front()));
        held->descriptor =
            to_c(held->frame.descriptor(), held->frame.sequence(), held->frame.attempts(), shm::SlotState::writing);
        *result = held.release();
        return PEAKNET_OK;
      }
      if (!taken.refused.empty()) continue;  // counted as failed; look at the next one
      if (door.close_requested() != 0 && open.held == 0 && door.member().pool_is_live() && !door.has_work())
        return PEAKNET_CLOSE;
      if (door.member().instance_removed()) {
        return fail({"instance.removed", "peaknetd has ended and removed its shared memory",
                     "every committed frame was processed", "attach again when peaknetd runs"});
      }
      const std::int64_t left = timeout_ns - (shm::monotonic_ns() - start);
      if (left <= 0) return PEAKNET_NOTHING;
      door.wait_for_work(std::chrono::nanoseconds(left));
    }
  });
}

peaknet_status peaknet_closed(peaknet_consumer* consumer) {
  return guarded([&]() -> peaknet_status {
    if (consumer == nullptr) return bad_argument("peaknet_closed", "the consumer is NULL");
    shm::Consumer& door = *consumer->open->door;
    if (door.member().inherited()) return fail(forked());
    if (const std::uint64_t generation = door.close_requested(); generation != 0) door.closed(generation);
    return PEAKNET_OK;
  });
}

const peaknet_descriptor* peaknet_result_descriptor(const peaknet_result* result) {
  return result == nullptr ? nullptr : &result->descriptor;
}
const void* peaknet_result_image(const peaknet_result* result) {
  return result == nullptr ? nullptr : result->frame.image().data();
}
const uint64_t* peaknet_result_mask(const peaknet_result* result) {
  return result == nullptr || result->descriptor.result != PEAKNET_MASK ? nullptr : result->frame.mask().data();
}

peaknet_status peaknet_finish(peaknet_result* result, peaknet_outcome outcome) {
  return guarded([&]() -> peaknet_status {
    if (result == nullptr) return bad_argument("peaknet_finish", "the result is NULL");
    std::optional<shm::Counter> counter;
    if (outcome == PEAKNET_WRITTEN) counter = shm::Counter::written;
    if (outcome == PEAKNET_FILTERED) counter = shm::Counter::filtered;
    if (outcome == PEAKNET_FAILED)
      counter = result->descriptor.result == PEAKNET_MASK ? shm::Counter::failed_mask : shm::Counter::failed_model;
    if (counter && outcome != PEAKNET_WRITTEN && result->descriptor.result == PEAKNET_SKIPPED)
      counter = shm::Counter::dropped_shed;
    if (!counter) return bad_argument("peaknet_finish", "there is no such outcome");
    const std::unique_ptr<peaknet_result> ended(result);
    if (result->open->door->member().inherited()) return fail(forked());
    if (auto finished = result->frame.finish(*counter); !finished) return fail(finished.error());
    return PEAKNET_OK;
  });
}

void peaknet_give_back(peaknet_result* result) { delete result; }

// --- tap
// --------------------------------------------------------------------------------------------------------------

peaknet_status peaknet_tap_open(const char* instance, peaknet_tap** tap) {
  return guarded([&]() -> peaknet_status {
    if (tap == nullptr) return bad_argument("peaknet_tap_open", "no place for the tap was given");
    *tap = nullptr;
    if (instance == nullptr) return bad_argument("peaknet_tap_open", "the instance is NULL");
    auto opened = shm::Tap::open(instance);
    if (!opened) return fail(opened.error());
    *tap = new peaknet_tap{std::move(*opened)};
    return PEAKNET_OK;
  });
}

void peaknet_tap_close(peaknet_tap* tap) { delete tap; }

peaknet_status peaknet_tap_latest(peaknet_tap* tap, peaknet_want want) {
  return guarded([&]() -> peaknet_status {
    if (tap == nullptr) return bad_argument("peaknet_tap_latest", "the tap is NULL");
    if (want != PEAKNET_NEWEST_FRAME && want != PEAKNET_NEWEST_RESULT)
      return bad_argument("peaknet_tap_latest", "there is no such choice");
    const auto kind = want == PEAKNET_NEWEST_FRAME ? shm::Tap::Want::frame : shm::Tap::Want::result;
    auto fresh = tap->door->latest(tap->frame, kind);
    if (!fresh) return fail(fresh.error());
    if (!*fresh) return PEAKNET_NOTHING;
    tap->descriptor = to_c(tap->frame.descriptor, tap->frame.sequence, 0, tap->frame.state);
    return PEAKNET_OK;
  });
}

const peaknet_descriptor* peaknet_tap_descriptor(const peaknet_tap* tap) {
  return tap == nullptr || tap->frame.sequence == 0 ? nullptr : &tap->descriptor;
}
const void* peaknet_tap_image(const peaknet_tap* tap) {
  return tap == nullptr || tap->frame.sequence == 0 ? nullptr : tap->frame.image.data();
}
const uint64_t* peaknet_tap_mask(const peaknet_tap* tap) {
  return tap == nullptr || tap->frame.mask.empty() ? nullptr : tap->frame.mask.data();
}
peaknet_status peaknet_tap_geometry(const peaknet_tap* tap, peaknet_geometry* geometry) {
  return guarded([&]() -> peaknet_status {
    if (tap == nullptr || geometry == nullptr) return bad_argument("peaknet_tap_geometry", "NULL");
    if (tap->frame.sequence == 0) return bad_argument("peaknet_tap_geometry", "the tap has no frame yet");
    *geometry = to_c(tap->frame.geometry);
    return PEAKNET_OK;
  });
}

}  // extern "C"
