#include "cxi/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <limits>

#include "cxi/checksum.hpp"
#include "cxi/compression.hpp"
#include "cxi/posix_file.hpp"
#include "cxi/reader.hpp"
#include "cxi/tables.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::difference;
using test::must;
using test::sample_event;
using test::sample_facts;
using test::sample_image;
using test::TempFolder;

class CxiFileTest : public ::testing::Test {
 protected:
  std::filesystem::path path(const std::string& name = "a.cxi") const { return folder_.path() / name; }

  CxiFile filled(const FileFacts& facts, std::uint64_t events) const {
    auto file = must(CxiFile::create(path(), facts));
    for (std::uint64_t number = 0; number < events; ++number) {
      const auto image = facts.with_images ? sample_image(number, facts) : std::vector<std::byte>();
      must(file.make_room(image.size(), 20));
      must(file.append(sample_event(number), image));
    }
    return file;
  }

  TempFolder folder_;
};

#define EXPECT_ALL_ITEMS(path, options)                            \
  do {                                                             \
    const auto failing = test::failing_items(path, options);       \
    if (failing == "skipped") GTEST_SKIP() << "h5py is not there"; \
    EXPECT_EQ(failing, "");                                        \
  } while (false)

TEST_F(CxiFileTest, HoldsEveryItemThatReadersNeed) {
  must(filled(sample_facts(), 7).finish({{{"committed", 9}, {"written", 7}}, false, 0}));
  for (std::uint64_t number = 0; number < 7; ++number)
    EXPECT_EQ(difference(path(), number, number, sample_facts()), "");
  EXPECT_ALL_ITEMS(path(), "--events 7");
}

TEST_F(CxiFileTest, HoldsThemInEveryPixelType) {
  auto facts = sample_facts();
  for (const PixelType type : {PixelType::int16, PixelType::float32}) {
    facts.pixel_type = type;
    auto file = must(CxiFile::create(path(std::string(name(type)) + ".cxi"), facts));
    must(file.append(sample_event(0), std::vector<std::byte>(facts.image_bytes())));
    const auto made = file.path();
    must(file.finish({}));
    EXPECT_ALL_ITEMS(made, "--events 1");
  }
}

TEST_F(CxiFileTest, HoldsThemCompressed) {
  auto facts = sample_facts();
  facts.filter = Filter::bitshuffle_lz4;
  BitshuffleLz4 codec;
  auto file = must(CxiFile::create(path(), facts));
  for (std::uint64_t number = 0; number < 3; ++number)
    must(file.append(sample_event(number), codec.compress(sample_image(number, facts), 2)));
  must(file.finish({}));
  for (std::uint64_t number = 0; number < 3; ++number) EXPECT_EQ(difference(path(), number, number, facts), "");
  EXPECT_ALL_ITEMS(path(), "--events 3");
}

TEST_F(CxiFileTest, WithPeaksOnlyTheImagesReadAsZerosAndTakeNoSpace) {
  auto facts = sample_facts();
  facts.with_images = false;
  const auto bytes = must(filled(facts, 50).finish({}));
  EXPECT_LT(bytes, 100'000U);
  for (std::uint64_t number = 0; number < 50; ++number) EXPECT_EQ(difference(path(), number, number, facts), "");
  EXPECT_ALL_ITEMS(path(), "--images none --events 50");
}

TEST_F(CxiFileTest, BadPixelsAreInTheMaskWhereTheirPanelLies) {
  auto facts = sample_facts();  // two panels of 32 x 65
  facts.slab = {70, 140, {{36, 70}, {0, 2}}};
  facts.bad = test::bad_mask(facts, {{0, 1, 64}, {1, 31, 0}});
  auto file = must(CxiFile::create(path(), facts));
  auto event = sample_event(0);
  event.original_height = 32;
  event.original_width = 65;
  event.pad_top = event.pad_left = 0;
  must(file.append(event, std::vector<std::byte>(facts.image_bytes())));
  must(file.finish({}));
  const auto mask = test::numbers_of(path(), "/entry_1/data_1/mask");
  ASSERT_EQ(mask.size(), 70U * 140U);
  EXPECT_EQ(mask[(36 + 1) * 140 + 70 + 64], 1);
  EXPECT_EQ(mask[(36 + 1) * 140 + 70 + 63], 0);
  EXPECT_EQ(mask[31 * 140 + 2], 1);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 0), 2 * 32 * 65 - 2);
  EXPECT_EQ(test::attribute_of(path(), "/entry_1/peaknet", "bad_pixels"), "0123456789abcdef");
  EXPECT_EQ(test::attribute_of(path(), "/entry_1/peaknet", "bad_pixels_of_model"), "0123456789abcdef");
}

TEST_F(CxiFileTest, TheRoomForTheTablesIsEnoughForAMaskOfScatteredBadPixels) {
  auto facts = sample_facts();
  facts.height = facts.width = 512;
  facts.with_images = false;
  std::vector<std::array<std::uint32_t, 3>> pixels;
  std::uint64_t state = 1;
  for (int i = 0; i < 100'000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto at = static_cast<std::uint32_t>(state >> 32);
    pixels.push_back({at & 1, at >> 1 & 511, at >> 10 & 511});
  }
  facts.bad = test::bad_mask(facts, pixels);
  auto file = must(CxiFile::create(path(), facts));
  must(file.append(sample_event(0), {}));
  EXPECT_LT(must(file.finish({})), table_bytes(facts, 1, 14));
}

TEST_F(CxiFileTest, WithoutPhotonEnergiesAndTimesThereAreNoSuchDatasets) {
  auto facts = sample_facts();
  facts.with_photon_energy = false;
  auto file = must(CxiFile::create(path(), facts));
  auto event = sample_event(0);
  event.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
  event.timestamp = 0;
  event.fiducial.reset();
  event.encoder_value = std::numeric_limits<double>::quiet_NaN();
  event.source_run.clear();
  must(file.append(event, sample_image(0, facts)));
  must(file.finish({}));
  const auto guard = use_hdf5();
  const H5Handle opened(H5Fopen(path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  EXPECT_EQ(H5Lexists(opened.get(), "/LCLS", H5P_DEFAULT), 0);
  EXPECT_EQ(H5Lexists(opened.get(), "/entry_1/peaknet/source_run", H5P_DEFAULT), 0);
  EXPECT_ALL_ITEMS(path(), "--events 1");
}

TEST_F(CxiFileTest, WhereOnlySomeEventsKnowTheirFiducialOrEncoderValueTheOthersHaveNoneAndNotZero) {
  const auto facts = sample_facts();
  auto file = must(CxiFile::create(path(), facts));
  for (std::uint64_t number = 0; number < 3; ++number) {
    auto event = sample_event(number);
    if (number == 1) {
      event.fiducial.reset();
      event.encoder_value = std::numeric_limits<double>::quiet_NaN();
    }
    must(file.append(event, sample_image(number, facts)));
  }
  must(file.finish({}));
  const H5Handle opened(H5Fopen(path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const H5Handle fiducial(H5Dopen2(opened.get(), "/LCLS/fiducial", H5P_DEFAULT), H5Dclose);
  const H5Handle encoder(H5Dopen2(opened.get(), "/LCLS/detector_1/EncoderValue", H5P_DEFAULT), H5Dclose);
  std::array<std::int32_t, 3> fiducials{};
  std::array<double, 3> values{};
  ASSERT_GE(H5Dread(fiducial.get(), H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, fiducials.data()), 0);
  ASSERT_GE(H5Dread(encoder.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  EXPECT_EQ(fiducials, (std::array<std::int32_t, 3>{0, -1, 6}));
  EXPECT_EQ(values[0], -572.5);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], -570.5);
  EXPECT_ALL_ITEMS(path(), "--events 3");
}

TEST_F(CxiFileTest, HoldsTheMasksWhereTheyAreWantedInEveryForm) {
  for (const auto filter : {Filter::none, Filter::bitshuffle_lz4}) {
    for (const bool with_images : {true, false}) {
      auto facts = sample_facts();
      facts.filter = filter;
      facts.with_images = with_images;
      facts.with_segmentation = true;
      BitshuffleLz4 images, masks;
      std::filesystem::remove(path());
      auto file = must(CxiFile::create(path(), facts));
      for (std::uint64_t number = 0; number < 3; ++number) {
        const auto image = with_images ? sample_image(number, facts) : std::vector<std::byte>();
        const auto mask = test::sample_segmentation(number, facts);
        if (filter == Filter::none) {
          must(file.append(sample_event(number), image, mask));
        } else {
          must(file.append(sample_event(number), with_images ? images.compress(image, 2) : image,
                           masks.compress(mask, 1)));
        }
      }
      must(file.finish({}));
      for (std::uint64_t number = 0; number < 3; ++number) EXPECT_EQ(difference(path(), number, number, facts), "");
      EXPECT_ALL_ITEMS(path(), std::string("--segmentation --events 3 --images ") + (with_images ? "hits" : "none"));
    }
  }
}

TEST_F(CxiFileTest, EventsWithoutPeaksAreAllowedAndTheColumnsStayOneWide) {
  auto facts = sample_facts();
  facts.min_num_peak = 0;
  auto file = must(CxiFile::create(path(), facts));
  auto event = sample_event(0);
  event.peaks.clear();
  must(file.append(event, sample_image(0, facts)));
  must(file.finish({}));
  EXPECT_ALL_ITEMS(path(), "--events 1");
}

TEST_F(CxiFileTest, AnEmptyFileIsNeverMade) {
  auto file = must(CxiFile::create(path(), sample_facts()));
  const auto finished = file.finish({});
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().id, "output.empty");
}

TEST_F(CxiFileTest, NeverWritesOverAnotherFile) {
  test::write_all(path(), std::as_bytes(std::span("precious", 8)));
  EXPECT_FALSE(CxiFile::create(path(), sample_facts()));
  EXPECT_EQ(test::read_all(path()).size(), 8U);
}

TEST_F(CxiFileTest, SaysWhichFolderIsMissing) {
  const auto file = CxiFile::create(folder_.path() / "gone" / "a.cxi", sample_facts());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().id, "output.folder-missing") << file.error().text();
  EXPECT_NE(file.error().what.find("gone/a.cxi"), std::string::npos);
}

// What is to be done is not what a full or broken disk asks for.
TEST(DiskError, SaysWhatIsWrongAndNotThatTheDiskIs) {
  EXPECT_EQ(disk_error("open", "/data/a.cxi", ELOOP).id, "output.folder-missing");
  const Error few = disk_error("open", "/data/a.cxi", EMFILE);
  EXPECT_EQ(few.id, "process.no-descriptors");
  EXPECT_NE(few.what.find("/data/a.cxi"), std::string::npos) << few.what;
  EXPECT_NE(few.remedy.find("ulimit -n"), std::string::npos) << few.remedy;
}

// What recovery stands on: the bytes are in the file at the place that append() says, without any help of HDF5.
TEST_F(CxiFileTest, AnImageIsInTheFileAtItsPlaceAsSoonAsItWasAppended) {
  const auto facts = sample_facts();
  auto file = must(CxiFile::create(path(), facts));
  const auto disk = must(PosixFile::open(path(), O_RDONLY));
  for (std::uint64_t number = 0; number < 20; ++number) {
    const auto image = sample_image(number, facts);
    must(file.append(sample_event(number), image));
    const auto chunk = file.events().back().image;
    ASSERT_TRUE(chunk);
    EXPECT_EQ(chunk->size, image.size());
    EXPECT_EQ(chunk->checksum, checksum(image));
    std::vector<std::byte> bytes(chunk->size);
    must(disk.read_at(chunk->address, bytes));
    EXPECT_EQ(bytes, image) << number;
  }
  file.abandon();
  for (const auto& stored : file.events()) {
    const auto& chunk = stored.image;
    std::vector<std::byte> bytes(chunk->size);
    must(disk.read_at(chunk->address, bytes));
    EXPECT_EQ(checksum(bytes), chunk->checksum);
  }
}

TEST_F(CxiFileTest, AbandonedItDoesNotChangeTheFileAnyMore) {
  auto file = filled(sample_facts(), 4);
  const auto before = test::read_all(path());
  file.abandon();
  EXPECT_EQ(test::read_all(path()), before);
  EXPECT_FALSE(CxiReader::open(path()));
}

TEST_F(CxiFileTest, TheSpaceReservedIsGivenBackAtTheEnd) {
  auto facts = sample_facts();
  facts.height = 512;
  facts.width = 512;
  must(filled(facts, 2).finish({}));
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_LE(static_cast<std::uint64_t>(info.st_blocks) * 512, static_cast<std::uint64_t>(info.st_size) + 64 * 1024);
}

TEST_F(CxiFileTest, OnAFullDiskItSaysNoBeforeHDF5IsAskedAndCanStillBeFinished) {
  const test::SmallDisk disk(4 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  auto facts = sample_facts();
  facts.height = facts.width = 256;  // 256 KiB an image
  const auto full = disk.path() / "full.cxi";
  auto file = must(CxiFile::create(full, facts));
  std::uint64_t events = 0;
  Status room;
  for (; events < 100; ++events) {
    const auto image = sample_image(events, facts);
    room = file.make_room(image.size(), 20);
    if (!room) break;
    must(file.append(sample_event(events), image));
  }
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error().id, "output.disk-full") << room.error().text();
  EXPECT_GE(events, 10U);
  must(file.sync());
  must(file.finish({}));
  for (std::uint64_t number = 0; number < events; ++number) EXPECT_EQ(difference(full, number, number, facts), "");
}

// The way of a file system that cannot reserve: HDF5 itself meets the full disk. In a process of its own, whose exit
// code shows that HDF5 does not take it down.
TEST_F(CxiFileTest, WhenHDF5MeetsTheFullDiskItIsAnErrorAndTheProcessLives) {
  const test::SmallDisk disk(4 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  auto child = test::Child::run([&] {
    auto facts = sample_facts();
    facts.height = facts.width = 256;
    auto file = must(CxiFile::create(disk.path() / "full.cxi", facts));
    Status added;
    std::uint64_t events = 0;
    for (; added && events < 100; ++events) added = file.append(sample_event(events), sample_image(events, facts));
    if (added || added.error().id != "output.disk-full") return 1;
    file.abandon();
    std::filesystem::remove(disk.path() / "full.cxi");
    auto next = must(CxiFile::create(disk.path() / "next.cxi", facts));  // HDF5 is as good as before
    must(next.append(sample_event(0), sample_image(0, facts)));
    must(next.finish({}));
    H5close();
    std::exit(
        difference(disk.path() / "next.cxi", 0, 0, facts).empty() ? 0 : 2);  // with HDF5's exit handlers, if it had any
  });
  EXPECT_EQ(child.wait(), test::Exit::code(0));
}

TEST_F(CxiFileTest, AFileThatWasClosedDoesNotReadAsOneThatWasNot) {
  auto file = filled(sample_facts(), 4);
  EXPECT_FALSE(CxiReader::open(path()));  // still growing
  must(file.finish({}));
  const auto reader = must(CxiReader::open(path()));
  EXPECT_EQ(reader.events(), 4U);
  const auto none = reader.read(4);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().id, "cxi.no-event");
}

TEST_F(CxiFileTest, TheRoomForTheTablesIsNeverTooSmall) {
  for (const std::size_t events : {1, 10, 300}) {
    for (const std::size_t peaks : {0, 50, 700}) {
      auto facts = sample_facts();
      facts.with_images = false;
      const auto made = path(std::to_string(events) + "_" + std::to_string(peaks) + ".cxi");
      auto file = must(CxiFile::create(made, facts));
      for (std::uint64_t number = 0; number < events; ++number) {
        auto event = sample_event(number);
        event.peaks.resize(peaks);
        must(file.append(event, {}));
      }
      EXPECT_LE(must(file.finish({{{"committed", 1}}, false, 0})), table_bytes(facts, events, peaks))
          << events << " " << peaks;
    }
  }
}

}  // namespace
}  // namespace peaknet::writer
