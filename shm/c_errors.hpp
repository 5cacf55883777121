// How the C ABI fails: the last error of the thread, the numbers of the error ids, and the border that no exception
// crosses.
//
// Threads: any; each has a last error of its own. Errors: these are they. Internal to libpeaknet_shm.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "shm/peaknet_shm.h"

namespace peaknet::shm::c_api {

struct LastError {
  std::string id, text;
};
LastError& last_error();

// Becomes the thread's last error; returns its number, PEAKNET_E_OTHER for an id that has none.
peaknet_status fail(const Error& error);
peaknet_status bad_argument(const char* function, const char* what);
// Of a handle that the parent of this process attached.
Error forked();

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

}  // namespace peaknet::shm::c_api
