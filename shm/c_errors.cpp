#include "shm/c_errors.hpp"

#include "base/error_ids.hpp"

namespace peaknet::shm::c_api {
namespace {

peaknet_status status_of(std::string_view id) {
  const ErrorId* known = find_error_id(id);
  return known == nullptr || known->c_status == 0 ? PEAKNET_E_OTHER : known->c_status;
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
