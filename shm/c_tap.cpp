// The C ABI of a tap.
#include <memory>
#include <utility>

#include "shm/c_errors.hpp"
#include "shm/c_values.hpp"
#include "shm/peaknet_shm.h"
#include "shm/tap.hpp"

namespace shm = peaknet::shm;
using peaknet::shm::c_api::bad_argument;
using peaknet::shm::c_api::fail;
using peaknet::shm::c_api::guarded;
using peaknet::shm::c_api::to_c;

struct peaknet_tap {
  std::unique_ptr<shm::Tap> client;
  shm::TapFrame frame{};
  peaknet_descriptor descriptor{};
};

extern "C" {

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
    auto fresh = tap->client->latest(tap->frame, kind);
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
