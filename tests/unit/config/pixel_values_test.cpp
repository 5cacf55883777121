// Values of pixels as people's files have them: shapes, types, polarities and names.
#include "config/pixel_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <filesystem>

#include "tests/unit/daemon/model/temp_folder.hpp"

namespace peaknet::config {
namespace {

using testing::HasSubstr;

constexpr PixelShape kEvent{2, 4, 6};

class PixelValuesTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path("calib.h5"); }

  template <class Number>
  PixelDataset put(const std::vector<hsize_t>& dims, hid_t type, hid_t memory, const std::vector<Number>& values,
                   const std::string& name = "d") {
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t data = H5Dcreate2(file, name.c_str(), type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Dwrite(data, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    H5Dclose(data);
    H5Sclose(space);
    H5Pclose(links);
    H5Fclose(file);
    return {"bad_pixels", path().string() + ":" + name, kEvent};
  }
  PixelDataset put_bytes(const std::vector<hsize_t>& dims, std::uint8_t others = 0, const std::string& name = "d") {
    std::vector<std::uint8_t> values(48, others);
    values[7] = static_cast<std::uint8_t>(1 - others);
    return put(dims, H5T_STD_U8LE, H5T_NATIVE_UINT8, values, name);
  }
  // One bad pixel, number 7, or why not.
  static std::string outcome(const Result<BadPixels>& read) {
    if (!read) return read.error().id;
    return read->count == 1 && read->bad.at(7) == 1 ? "good" : std::to_string(read->count) + " are bad";
  }

  test::TempFolder folder_;
};

TEST_F(PixelValuesTest, AnArrayFitsAsPanelsAndAsTheirStack) {
  for (const std::vector<hsize_t>& dims : {std::vector<hsize_t>{2, 4, 6}, {8, 6}, {1, 2, 4, 6}, {2, 1, 4, 6}}) {
    const auto read = read_bad_pixels(put_bytes(dims));
    EXPECT_EQ(outcome(read), "good");
    EXPECT_TRUE(read->warnings.empty());
  }
}

TEST_F(PixelValuesTest, AFlatArrayIsTakenAndTold) {
  const auto read = read_bad_pixels(put_bytes({48}));
  EXPECT_EQ(outcome(read), "good");
  ASSERT_EQ(read->warnings.size(), 1U);
  EXPECT_THAT(read->warnings[0], HasSubstr("has the shape (48), an event is (2, 4, 6) or, stacked, (8, 6)"));
}

TEST_F(PixelValuesTest, TheRightNumberOfValuesInAnotherShapeIsRefused) {
  for (const std::vector<hsize_t>& dims : {std::vector<hsize_t>{2, 6, 4}, {6, 8}, {6, 4, 2}}) {
    const auto read = read_bad_pixels(put_bytes(dims));
    EXPECT_EQ(outcome(read), "preprocess.bad-shape");
    EXPECT_THAT(read.error().text(), HasSubstr("rows and columns are exchanged"));
  }
  EXPECT_EQ(outcome(read_bad_pixels(put_bytes({4, 12}))), "preprocess.bad-shape");
  EXPECT_EQ(read_pixel_values(put_bytes({6, 8})).error().id, "preprocess.bad-shape") << "a pedestal just the same";
}

TEST_F(PixelValuesTest, BadIsWhatIsNotZeroWhateverItsType) {
  const std::vector<hsize_t> dims = {2, 4, 6};
  for (const double value : {0.5, -0.25, 1e-30, std::nan(""), 1.0 / 0.0}) {
    std::vector<double> values(48, 0.0);
    values[7] = value;
    EXPECT_EQ(outcome(read_bad_pixels(put(dims, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values))), "good") << value;
    values[9] = -0.0;
    EXPECT_EQ(outcome(read_bad_pixels(put(dims, H5T_IEEE_F32BE, H5T_NATIVE_DOUBLE, values))), "good") << value;
  }
  std::vector<std::uint64_t> bits(48, 0);
  bits[7] = std::uint64_t{1} << 40;
  EXPECT_EQ(outcome(read_bad_pixels(put(dims, H5T_STD_U64LE, H5T_NATIVE_UINT64, bits))), "good");
  EXPECT_EQ(outcome(read_bad_pixels(put(dims, H5T_STD_B64LE, H5T_NATIVE_B64, bits))), "good");
  std::vector<std::int16_t> below(48, 0);
  below[7] = -1;
  EXPECT_EQ(outcome(read_bad_pixels(put(dims, H5T_STD_I16BE, H5T_NATIVE_INT16, below))), "good");
}

TEST_F(PixelValuesTest, ABoolOfH5pyIsAMask) {
  const hid_t truth = H5Tenum_create(H5T_STD_I8LE);
  const std::array<signed char, 2> members = {0, 1};
  H5Tenum_insert(truth, "FALSE", &members[0]);
  H5Tenum_insert(truth, "TRUE", &members[1]);
  std::vector<signed char> values(48, 0);
  values[7] = 1;
  EXPECT_EQ(outcome(read_bad_pixels(put({2, 4, 6}, truth, truth, values))), "good");
  H5Tclose(truth);
}

TEST_F(PixelValuesTest, AMaskOfTheOtherPolarityIsTold) {
  const auto read = read_bad_pixels(put_bytes({2, 4, 6}, 1));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->count, 47U);
  ASSERT_EQ(read->warnings.size(), 1U);
  EXPECT_THAT(read->warnings[0], HasSubstr("47 of 48 pixels (98 %) as bad"));
  EXPECT_THAT(read->warnings[0], HasSubstr("where 1 means good"));
}

TEST_F(PixelValuesTest, ThirtyPercentIsManyAndAllIsRefused) {
  const auto of = [&](std::size_t bad) {
    std::vector<std::uint8_t> values(48, 0);
    std::fill_n(values.begin(), bad, 1);
    return read_bad_pixels(put({2, 4, 6}, H5T_STD_U8LE, H5T_NATIVE_UINT8, values));
  };
  EXPECT_TRUE(of(0)->warnings.empty());
  EXPECT_TRUE(of(14)->warnings.empty());
  EXPECT_EQ(of(15)->warnings.size(), 1U);
  EXPECT_EQ(of(47)->warnings.size(), 1U);
  ASSERT_FALSE(of(48));
  EXPECT_EQ(of(48).error().id, "preprocess.bad-value");
  std::vector<float> values(48, 1.0F);
  values[7] = std::nanf("");
  EXPECT_EQ(outcome(read_bad_pixels(put({2, 4, 6}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values))), "preprocess.bad-value");
}

TEST_F(PixelValuesTest, WhatWasNeverWrittenIsNotZero) {
  const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const std::array<hsize_t, 3> dims = {2, 4, 6};
  const hid_t space = H5Screate_simple(3, dims.data(), nullptr);
  H5Dclose(H5Dcreate2(file, "d", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  H5Fclose(file);
  const auto read = read_bad_pixels({"bad_pixels", path().string() + ":d", kEvent});
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().what, HasSubstr("never written"));
}

// HDF5 shows zeros for it: no pixel would be bad.
TEST_F(PixelValuesTest, WhatIsNotStoredWholeIsNoMask) {
  const std::array<hsize_t, 2> dims = {8, 6}, chunk = {4, 6}, at = {0, 0};
  const auto read_of = [&](auto&& prepare, auto&& write) {
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, dims.data(), nullptr), creation = H5Pcreate(H5P_DATASET_CREATE);
    prepare(creation, space);
    const hid_t data = H5Dcreate2(file, "d", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    write(data);
    H5Dclose(data);
    H5Pclose(creation);
    H5Sclose(space);
    H5Fclose(file);
    const auto read = read_bad_pixels({"bad_pixels", path().string() + ":d", kEvent});
    return read ? "taken" : read.error().what;
  };
  const auto nothing = [](auto...) {};
  EXPECT_THAT(
      read_of([&](hid_t creation, hid_t space) { H5Pset_virtual(creation, space, "gone.h5", "/m", space); }, nothing),
      HasSubstr("virtual"));
  EXPECT_THAT(read_of([](hid_t creation, hid_t) { H5Pset_external(creation, "gone.raw", 0, H5F_UNLIMITED); }, nothing),
              HasSubstr("raw files"));
  const auto chunked = [&](hid_t creation, hid_t) {
    H5Pset_chunk(creation, 2, chunk.data());
    H5Pset_deflate(creation, 1);
  };
  const std::vector<std::uint8_t> half(24, 1);
  EXPECT_THAT(read_of(chunked,
                      [&](hid_t data) {
                        const hid_t part = H5Screate_simple(2, chunk.data(), nullptr), all = H5Dget_space(data);
                        H5Sselect_hyperslab(all, H5S_SELECT_SET, at.data(), nullptr, chunk.data(), nullptr);
                        H5Dwrite(data, H5T_NATIVE_UINT8, part, all, H5P_DEFAULT, half.data());
                        H5Sclose(part);
                        H5Sclose(all);
                      }),
              HasSubstr("never written"));
  // Ten bytes for a chunk of 24: the rest would be memory of somebody else.
  const std::array<unsigned char, 12> packed = {0x78, 0x01, 0x63, 0x64, 0x84, 0x01, 0x00, 0x00, 0x41, 0x00, 0x0b, 0};
  EXPECT_THAT(read_of(chunked,
                      [&](hid_t data) {
                        for (const hsize_t row : {0U, 4U}) {
                          const std::array<hsize_t, 2> corner = {row, 0};
                          H5Dwrite_chunk(data, H5P_DEFAULT, 0, corner.data(), 11, packed.data());
                        }
                      }),
              HasSubstr("unpack to its size"));
  EXPECT_EQ(read_of(chunked,
                    [&](hid_t data) {
                      std::vector<std::uint8_t> mask(48, 0);
                      mask[7] = 1;
                      H5Dwrite(data, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask.data());
                    }),
            "taken");
}

TEST_F(PixelValuesTest, ADeadLinkIsNotAsIfNothingWereThere) {
  const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external("gone.h5", "/m", file, "d", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  EXPECT_THAT(read_bad_pixels({"bad_pixels", path().string() + ":d", kEvent}).error().what, HasSubstr("gone.h5"));
}

TEST_F(PixelValuesTest, APipeIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_THAT(read_bad_pixels({"bad_pixels", path().string() + ":d", kEvent}).error().what, HasSubstr("a pipe"));
}

TEST_F(PixelValuesTest, ALinkToAPipeIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo(folder_.path("pipe.h5").c_str(), 0600), 0);
  const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external("pipe.h5", "/m", file, "m", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  for (const char* name : {":m", ":m/inside"}) {
    EXPECT_THAT(read_bad_pixels({"bad_pixels", path().string() + name, kEvent}).error().what, HasSubstr("a pipe"))
        << name;
  }
}

TEST_F(PixelValuesTest, AFileThatItsWriterLeftOpenGetsTheRemedyThatWorks) {
  const auto asked = put_bytes({2, 4, 6});
  const pid_t writer = fork();
  if (writer == 0) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    kill(getpid(), SIGKILL);
  }
  waitpid(writer, nullptr, 0);
  const auto read = read_bad_pixels(asked);
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().remedy, HasSubstr("h5clear -s"));
}

TEST_F(PixelValuesTest, NamesMayHaveColons) {
  EXPECT_EQ(outcome(read_bad_pixels(put_bytes({2, 4, 6}, 0, "/calib/Mfx.0:Epix10ka2M.0/status"))), "good");
  const std::filesystem::path in_folder = folder_.path("a:b.h5");
  std::filesystem::rename(path(), in_folder);
  EXPECT_EQ(outcome(read_bad_pixels({"bad_pixels", in_folder.string() + ":/calib/Mfx.0:Epix10ka2M.0/status", kEvent})),
            "good");
}

TEST_F(PixelValuesTest, WhatHoldsNoNumbersIsRefused) {
  const hid_t text = H5Tcopy(H5T_C_S1);
  EXPECT_EQ(outcome(read_bad_pixels(put({48}, text, text, std::vector<char>(48, '0')))), "preprocess.unreadable");
  H5Tclose(text);
}

}  // namespace
}  // namespace peaknet::config
