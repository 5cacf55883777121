// The C ABI of a producer. A frame keeps its producer alive, so handles may be ended in any order.
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "shm/c_errors.hpp"
#include "shm/c_values.hpp"
#include "shm/copy_image.hpp"
#include "shm/peaknet_shm.h"
#include "shm/producer.hpp"

namespace shm = peaknet::shm;
using peaknet::Error;
using peaknet::shm::c_api::apply;
using peaknet::shm::c_api::bad_argument;
using peaknet::shm::c_api::column_at;
using peaknet::shm::c_api::fail;
using peaknet::shm::c_api::forked;
using peaknet::shm::c_api::guarded;
using peaknet::shm::c_api::info_of;
using peaknet::shm::c_api::to_c;

struct peaknet_producer {
  std::shared_ptr<shm::Producer> client;
};
struct peaknet_frame {
  std::shared_ptr<shm::Producer> client;  // before the frame: it goes last
  shm::Frame frame;
  peaknet_info info{};
};

namespace {

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
peaknet_status commit(shm::Producer& client, shm::Frame& frame, std::uint64_t* producer_seq) {
  if (auto good = frame.info().check(client.geometry()); !good) return fail(good.error());
  const std::uint64_t number = client.committed();
  if (auto committed = frame.commit(); !committed) return fail(committed.error());
  if (producer_seq != nullptr) *producer_seq = number;
  return PEAKNET_OK;
}

// How long a claim may take, and the part of it that is over if it is one step of a claim.
struct Patience {
  std::int64_t timeout_ns = 0;
  std::optional<std::int64_t> waited_ns;
};

// A frame, or why there is none: NOTHING when the step is over and the time-out is not.
struct Claimed {
  peaknet_status status = PEAKNET_OK;
  std::optional<shm::Frame> frame;
};

Claimed claim(const char* function, peaknet_producer* producer, const Patience& patience) {
  if (producer == nullptr) return {bad_argument(function, "the producer is NULL"), std::nullopt};
  if (patience.timeout_ns < 0 || patience.waited_ns.value_or(0) < 0)
    return {bad_argument(function, "the time-out is negative"), std::nullopt};
  const std::chrono::nanoseconds timeout(patience.timeout_ns);
  if (!patience.waited_ns) {
    auto claimed = producer->client->claim(timeout);
    if (!claimed) return {fail(claimed.error()), std::nullopt};
    return {PEAKNET_OK, std::move(*claimed)};
  }
  auto claimed = producer->client->claim_step(timeout, std::chrono::nanoseconds(*patience.waited_ns));
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
    *frame = new peaknet_frame{producer->client, std::move(*claimed.frame), info};
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
    shm::Producer& client = *producer->client;
    // Only now: the claim may have moved over to another pool.
    const shm::Geometry& pool = client.geometry();
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
    return commit(client, frame, producer_seq);
  });
}

}  // namespace

extern "C" {

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
    *geometry = to_c(producer->client->geometry());
    return PEAKNET_OK;
  });
}

uint64_t peaknet_producer_number(const peaknet_producer* producer) {
  return producer == nullptr ? 0 : producer->client->number();
}

peaknet_status peaknet_claim(peaknet_producer* producer, int64_t timeout_ns, peaknet_frame** frame) {
  return claim_in_steps("peaknet_claim", producer, {timeout_ns, {}}, frame);
}

peaknet_status peaknet_claim_step(peaknet_producer* producer, int64_t timeout_ns, int64_t waited_ns,
                                  peaknet_frame** frame) {
  return claim_in_steps("peaknet_claim_step", producer, {timeout_ns, waited_ns}, frame);
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

peaknet_status peaknet_producer_column(const peaknet_producer* producer, uint32_t index, peaknet_column* column) {
  return guarded([&]() -> peaknet_status {
    if (producer == nullptr || column == nullptr) return bad_argument("peaknet_producer_column", "NULL");
    return column_at(producer->client->columns(), index, *column);
  });
}

peaknet_status peaknet_frame_set(peaknet_frame* frame, const char* name, peaknet_column_type type, const void* values,
                                 uint32_t count) {
  return guarded([&]() -> peaknet_status {
    if (frame == nullptr || name == nullptr || values == nullptr) return bad_argument("peaknet_frame_set", "NULL");
    if (frame->client->participant().inherited()) return fail(forked());
    const auto given = static_cast<shm::ColumnType>(type);
    if (size_of(given) == 0) return bad_argument("peaknet_frame_set", "there is no such type");
    const shm::ColumnTable& table = frame->client->columns();
    const auto index = table.find(name);
    if (!index) return fail(table.no_such(name));
    const std::span bytes(static_cast<const std::byte*>(values), count * size_of(given));
    if (auto set = frame->frame.columns().put(*index, given, bytes); !set) return fail(set.error());
    return PEAKNET_OK;
  });
}

peaknet_status peaknet_commit(peaknet_frame* frame, uint64_t* producer_seq) {
  return guarded([&]() -> peaknet_status {
    if (frame == nullptr) return bad_argument("peaknet_commit", "the frame is NULL");
    const std::unique_ptr<peaknet_frame> ended(frame);
    if (frame->client->participant().inherited()) return fail(forked());
    apply(frame->info, frame->frame.info());
    return commit(*frame->client, frame->frame, producer_seq);
  });
}

void peaknet_abandon(peaknet_frame* frame) { delete frame; }

void peaknet_info_unknown(peaknet_info* info) {
  if (info != nullptr) *info = info_of({});
}

peaknet_status peaknet_put(peaknet_producer* producer, const void* pixels, const peaknet_geometry* shape,
                           const peaknet_info* info, int64_t timeout_ns, uint64_t* producer_seq) {
  return put_in_steps("peaknet_put", producer, {pixels, shape, info}, {timeout_ns, {}}, producer_seq);
}

peaknet_status peaknet_put_step(peaknet_producer* producer, const void* pixels, const peaknet_geometry* shape,
                                const peaknet_info* info, int64_t timeout_ns, int64_t waited_ns,
                                uint64_t* producer_seq) {
  return put_in_steps("peaknet_put_step", producer, {pixels, shape, info}, {timeout_ns, waited_ns}, producer_seq);
}

}  // extern "C"
