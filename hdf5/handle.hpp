// Handle: an identifier of the HDF5 library, of any kind, with the function that closes it. Move-only.
//
// Threads: one at a time. Closing takes the Guard that it needs; whoever uses get() holds one.
// Errors: close() says whether HDF5 could; the destructor cannot tell. After a crash: nothing is closed.
#pragma once

#include <hdf5.h>

#include <utility>

#include "hdf5/guard.hpp"

namespace peaknet::hdf5 {

class Handle {
 public:
  Handle() = default;
  // A negative `id` is what HDF5 returns instead of an object: none.
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }

  hid_t get() const { return id_; }
  bool ok() const { return id_ >= 0; }
  explicit operator bool() const { return ok(); }
  // False if HDF5 says that it could not (what was to be written then is not). Without effect the second time.
  bool close() {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    if (id < 0) return true;
    const Guard guard;
    return close_(id) >= 0;
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
  herr_t (*close_)(hid_t) = nullptr;
};

}  // namespace peaknet::hdf5
