#include "hdf5/handle.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace peaknet::hdf5 {
namespace {

bool is_open(hid_t id) { return H5Iis_valid(id) > 0; }
Handle made() { return {H5Pcreate(H5P_FILE_ACCESS), H5Pclose}; }

TEST(Hdf5Handle, closes_what_it_holds_when_it_ends) {
  hid_t id = H5I_INVALID_HID;
  {
    const Handle handle = made();
    id = handle.get();
    EXPECT_TRUE(handle.ok());
    EXPECT_TRUE(is_open(id));
  }
  EXPECT_FALSE(is_open(id));
}

TEST(Hdf5Handle, holds_nothing_where_the_library_gave_nothing) {
  Handle none(-1, H5Pclose);
  EXPECT_FALSE(none.ok());
  EXPECT_FALSE(none);
  EXPECT_TRUE(none.close());
  EXPECT_TRUE(Handle().close());
}

TEST(Hdf5Handle, is_closed_once_though_it_was_moved) {
  Handle first = made();
  const hid_t id = first.get();
  Handle second = std::move(first);
  EXPECT_EQ(second.get(), id);
  EXPECT_TRUE(second.close());
  EXPECT_FALSE(is_open(id));
  EXPECT_TRUE(second.close()) << "the second time there is nothing to close";
}

TEST(Hdf5Handle, what_an_assignment_replaces_is_closed_with_the_other) {
  Handle kept = made();
  const hid_t before = kept.get();
  hid_t after = H5I_INVALID_HID;
  {
    Handle other = made();
    after = other.get();
    kept = std::move(other);
  }
  EXPECT_FALSE(is_open(before));
  EXPECT_TRUE(is_open(after));
  EXPECT_EQ(kept.get(), after);
}

TEST(Hdf5Handle, tells_that_the_library_could_not_close) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  Handle handle(H5Pcreate(H5P_FILE_ACCESS), [](hid_t) -> herr_t { return -1; });
  const hid_t id = handle.get();
  EXPECT_FALSE(handle.close());
  H5Pclose(id);
}

}  // namespace
}  // namespace peaknet::hdf5
