#include "shm/c_errors.hpp"

#include <algorithm>
#include <iterator>

namespace peaknet::shm::c_api {
namespace {

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
      {"columns.unknown", PEAKNET_E_COLUMN},
      {"columns.other-type", PEAKNET_E_COLUMN},
      {"tap.overrun", PEAKNET_E_OVERRUN},
  };
  const auto* found = std::ranges::find(kNumbers, id, &Number::id);
  return found == std::end(kNumbers) ? PEAKNET_E_OTHER : found->status;
}

}  // namespace

LastError& last_error() {
  thread_local LastError error;
  return error;
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

}  // namespace peaknet::shm::c_api

using peaknet::shm::c_api::last_error;

extern "C" {

const char* peaknet_last_error(void) {
  const auto& error = last_error();
  return error.text.empty() ? error.id.c_str() : error.text.c_str();
}
const char* peaknet_last_error_id(void) { return last_error().id.c_str(); }
int32_t peaknet_abi(void) { return PEAKNET_ABI; }
const char* peaknet_version(void) { return PEAKNET_SHM_VERSION; }

}  // extern "C"
