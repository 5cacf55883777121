// The C ABI of a consumer. A result keeps its consumer alive, so handles may be ended in any order.
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "shm/c_errors.hpp"
#include "shm/c_values.hpp"
#include "shm/clock.hpp"
#include "shm/consumer.hpp"
#include "shm/peaknet_shm.h"

namespace shm = peaknet::shm;
using peaknet::shm::c_api::bad_argument;
using peaknet::shm::c_api::column_at;
using peaknet::shm::c_api::fail;
using peaknet::shm::c_api::forked;
using peaknet::shm::c_api::guarded;
using peaknet::shm::c_api::to_c;

namespace {

struct OpenConsumer {
  std::unique_ptr<shm::Consumer> client;
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
  std::optional<shm::ColumnRow> columns = {};  // once they were asked for
};

namespace {

// A pool of another geometry is published when the old one is empty: then nothing of it can reach us any more.
void follow_pool(OpenConsumer& open) {
  shm::Participant& participant = open.client->participant();
  if (participant.pool_is_live() || open.held > 0) return;
  const auto free = participant.pool().count_states()[static_cast<std::size_t>(shm::SlotState::free)];
  // An error means that the next pool is not there yet; the next call looks again.
  if (free == participant.pool().geometry().slots) static_cast<void>(participant.follow_epoch().ok());
}

// A result, or why there is none after `sleeps` sleeps at most.
peaknet_status take(const char* function, peaknet_consumer* consumer, std::int64_t timeout_ns, std::uint64_t sleeps,
                    peaknet_result** result) {
  return guarded([&]() -> peaknet_status {
    if (result == nullptr) return bad_argument(function, "no place for the result was given");
    *result = nullptr;
    if (consumer == nullptr) return bad_argument(function, "the consumer is NULL");
    if (timeout_ns < 0) return bad_argument(function, "the time-out is negative");
    OpenConsumer& open = *consumer->open;
    shm::Consumer& client = *open.client;
    if (client.participant().inherited()) return fail(forked());
    const std::int64_t start = shm::monotonic_ns();
    for (;;) {
      follow_pool(open);
      auto taken = client.take(1);
      if (!taken.frames.empty()) {
        auto held = std::make_unique<peaknet_result>(consumer->open, std::move(taken.frames.front()));
        held->descriptor =
            to_c(held->frame.descriptor(), held->frame.sequence(), held->frame.attempts(), shm::SlotState::writing);
        *result = held.release();
        return PEAKNET_OK;
      }
      if (!taken.refused.empty()) continue;  // counted as failed; look at the next one
      if (client.close_requested() != 0 && open.held == 0 && client.participant().pool_is_live() && !client.has_work())
        return PEAKNET_CLOSE;
      if (client.participant().instance_removed()) {
        return fail({"instance.removed", "peaknetd has ended and removed its shared memory",
                     "every committed frame was processed", "attach again when peaknetd runs"});
      }
      const std::int64_t left = timeout_ns - (shm::monotonic_ns() - start);
      if (left <= 0 || sleeps-- == 0) return PEAKNET_NOTHING;
      client.wait_for_work(std::chrono::nanoseconds(left));
    }
  });
}

}  // namespace

extern "C" {

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
    *geometry = to_c(consumer->open->client->geometry());
    return PEAKNET_OK;
  });
}

peaknet_status peaknet_take(peaknet_consumer* consumer, int64_t timeout_ns, peaknet_result** result) {
  return take("peaknet_take", consumer, timeout_ns, UINT64_MAX, result);
}

peaknet_status peaknet_take_step(peaknet_consumer* consumer, int64_t timeout_ns, peaknet_result** result) {
  return take("peaknet_take_step", consumer, timeout_ns, 1, result);
}

peaknet_status peaknet_closed(peaknet_consumer* consumer) {
  return guarded([&]() -> peaknet_status {
    if (consumer == nullptr) return bad_argument("peaknet_closed", "the consumer is NULL");
    shm::Consumer& client = *consumer->open->client;
    if (client.participant().inherited()) return fail(forked());
    if (const std::uint64_t generation = client.close_requested(); generation != 0) client.closed(generation);
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

peaknet_status peaknet_consumer_column(const peaknet_consumer* consumer, uint32_t index, peaknet_column* column) {
  return guarded([&]() -> peaknet_status {
    if (consumer == nullptr || column == nullptr) return bad_argument("peaknet_consumer_column", "NULL");
    return column_at(consumer->open->client->participant().pool().columns(), index, *column);
  });
}

peaknet_status peaknet_result_get(peaknet_result* result, const char* name, peaknet_column_type type, void* values,
                                  uint32_t count) {
  return guarded([&]() -> peaknet_status {
    if (result == nullptr || name == nullptr || values == nullptr) return bad_argument("peaknet_result_get", "NULL");
    const shm::ColumnTable& table = result->frame.column_table();
    const auto index = table.find(name);
    if (!index) return fail(table.no_such(name));
    const shm::Column& column = table[*index];
    if (static_cast<shm::ColumnType>(type) != column.type || count != column.values()) {
      return fail({"columns.other-type",
                   "the column '" + column.name + "' has " + std::to_string(column.values()) + " values of " +
                       std::string(shm::name(column.type)),
                   "nothing was copied", "ask for it in its own type and length"});
    }
    if (!result->columns) result->columns = result->frame.columns();
    const auto row = table.values(*result->columns, *index);
    std::memcpy(values, row.data(), row.size());
    return table.known(*result->columns, *index) ? PEAKNET_OK : PEAKNET_NOTHING;
  });
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
    if (result->open->client->participant().inherited()) return fail(forked());
    if (auto finished = result->frame.finish(*counter); !finished) return fail(finished.error());
    return PEAKNET_OK;
  });
}

void peaknet_give_back(peaknet_result* result) { delete result; }

}  // extern "C"
