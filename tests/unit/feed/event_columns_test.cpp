#include "feed/event_columns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "feed/decoders/decoder.hpp"
#include "feed/hdf5_source.hpp"
#include "feed/replay_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using shm::ColumnType;
using test::bytes_of;
using test::CborWriter;
using test::counting;
using test::FastBinaryWriter;
using test::FileWriter;
using test::must;
using test::NpzWriter;
using test::temporary_file;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr shm::Geometry kFrames{8, 1, 20, 30, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{20} * 30;
constexpr std::uint64_t kEvents = 2;

config::FeedColumns wanted(const std::vector<std::pair<std::string, ColumnType>>& columns, std::uint32_t length = 0) {
  std::vector<shm::Column> all;
  config::FeedColumns found;
  for (const auto& [name, type] : columns) {
    all.push_back({.name = name,
                   .dataset = "/LCLS/" + name,
                   .unit = "",
                   .type = type,
                   .length = length,
                   .unknown = shm::usual_unknown(type)});
    found.from.push_back(name);
  }
  found.table = must(shm::ColumnTable::make(std::move(all)));
  return found;
}

// The columns of one event as they are in a slot, and why one of them is not known.
struct Slot {
  explicit Slot(shm::ColumnTable columns) : table(std::move(columns)), row(table.row_bytes()) {}
  shm::ColumnWriter writer() { return {table, row.data(), known}; }
  bool knows(const std::string& name) const { return (known >> *table.find(name) & 1U) != 0; }
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const auto bytes = table.values(row, *table.find(name));
    std::vector<T> all(bytes.size() / sizeof(T));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  }
  shm::ColumnTable table;
  shm::ColumnRow row;
  std::uint64_t known = 0;
  std::string why;
};

Slot fill(FrameSource& source, std::uint64_t index, const shm::ColumnTable& table) {
  Slot slot(table);
  std::vector<std::byte> image(source.geometry().image_bytes());
  shm::FrameDescriptor info;
  const auto filled = must(source.fill(index, {image, info, {}, slot.writer()}));
  if (filled.column) slot.why = filled.column->id + ": " + filled.column->what;
  return slot;
}

template <class From, class To>
std::string converted(From from, To expected) {
  const auto columns = wanted({{"a", shm::column_type_of<To>()}});
  EventColumns field(columns);
  constexpr auto kTypes =
      std::array{SampleType::u8,  SampleType::i8,  SampleType::u16, SampleType::i16, SampleType::u32,
                 SampleType::i32, SampleType::u64, SampleType::i64, SampleType::f32, SampleType::f64};
  const auto type = kTypes[static_cast<std::uint32_t>(shm::column_type_of<From>()) - 1];
  field.found(0, Column{type, bytes_of(std::vector<From>{from})});
  Slot slot(columns.table);
  const auto put = field.put(0, slot.writer());
  if (!put) return put.error().id;
  const To value = slot.values<To>("a").front();
  return std::memcmp(&value, &expected, sizeof value) == 0 ? "kept" : "changed to " + std::to_string(value);
}

TEST(EventColumns, ANumberIsKeptOrTheColumnIsNotKnown) {
  EXPECT_EQ(converted(std::int64_t{1}, std::uint8_t{1}), "kept");
  EXPECT_EQ(converted(std::int64_t{256}, std::uint8_t{0}), "columns.value");
  EXPECT_EQ(converted(std::int64_t{-1}, std::uint64_t{0}), "columns.value");
  EXPECT_EQ(converted(~std::uint64_t{0}, std::int64_t{0}), "columns.value");
  EXPECT_EQ(converted(~std::uint64_t{0}, ~std::uint64_t{0}), "kept");
  EXPECT_EQ(converted(1.0, std::uint8_t{1}), "kept");
  EXPECT_EQ(converted(1.5, std::uint8_t{1}), "columns.value");
  EXPECT_EQ(converted(18446744073709551616.0, std::uint64_t{0}), "columns.value");
  EXPECT_EQ(converted(-9223372036854775808.0, std::numeric_limits<std::int64_t>::lowest()), "kept");
  EXPECT_EQ(converted(9223372036854775808.0, std::int64_t{0}), "columns.value");
  EXPECT_EQ(converted(std::nan(""), std::uint8_t{255}), "kept") << "not known, in a column of integers";
  EXPECT_EQ(converted(std::uint64_t{1} << 53 | 1, 0.0), "columns.value") << "no double has it";
  EXPECT_EQ(converted(~std::uint64_t{0}, 0.0F), "columns.value");
  EXPECT_EQ(converted(std::uint64_t{1} << 60, 1152921504606846976.0F), "kept");
  EXPECT_EQ(converted(0.1, 0.1F), "kept") << "rounded to the column's precision";
  EXPECT_EQ(converted(1e300, 0.0F), "columns.value");
  EXPECT_EQ(converted(std::numeric_limits<double>::infinity(), std::numeric_limits<float>::infinity()), "kept");
}

TEST(EventColumns, AColumnThatThePoolDoesNotHaveIsTold) {
  const auto columns = wanted({{"laser", ColumnType::uint8}});
  EventColumns field(columns);
  field.found(0, Column{SampleType::u8, bytes_of(std::vector<std::uint8_t>{1})});
  EXPECT_THAT(field.put(0, {}).error().what, HasSubstr("made without this column"));
  EXPECT_TRUE(EventColumns().put(0, {}));
}

NpzWriter npz() {
  NpzWriter writer;
  writer.add<std::uint16_t>("detector_data", {kEvents, 1, 20, 30}, counting<std::uint16_t>(kEvents * kPixels));
  return writer;
}
std::vector<Slot> slots_of(const std::vector<std::byte>& message, const config::FeedColumns& columns,
                           const shm::Geometry& geometry = kFrames) {
  const auto decoder = make_decoder({.columns = columns});
  const auto source = must(decoder->open(message, geometry));
  std::vector<Slot> slots;
  for (std::uint64_t i = 0; i < source->size(); ++i) slots.push_back(fill(*source, i, columns.table));
  return slots;
}

TEST(EventColumns, OfAMessageAreOneRowAnEventOrOneForAll) {
  const auto columns = wanted({{"codes", ColumnType::uint16}}, 3);
  const auto rows = slots_of(npz().add<std::uint16_t>("codes", {kEvents, 3}, {1, 2, 3, 4, 5, 6}).bytes(), columns);
  EXPECT_THAT(rows[0].values<std::uint16_t>("codes"), ElementsAre(1, 2, 3));
  EXPECT_THAT(rows[1].values<std::uint16_t>("codes"), ElementsAre(4, 5, 6));
  const auto same = slots_of(npz().add<std::uint16_t>("codes", {3}, {1, 2, 3}).bytes(), columns);
  EXPECT_THAT(same[1].values<std::uint16_t>("codes"), ElementsAre(1, 2, 3));
  const auto transposed =
      slots_of(npz().add<std::uint16_t>("codes", {3, kEvents}, {1, 2, 3, 4, 5, 6}).bytes(), columns);
  EXPECT_FALSE(transposed[0].knows("codes"));
  EXPECT_THAT(transposed[0].why, HasSubstr("[3,2]"));
  const auto shorter = slots_of(npz().add<std::uint16_t>("codes", {kEvents, 2}, {1, 2, 3, 4}).bytes(), columns);
  EXPECT_FALSE(shorter[0].knows("codes"));
  EXPECT_THAT(shorter[0].why, HasSubstr("columns.length"));
}

TEST(EventColumns, AFieldThatIsNotThereLeavesTheColumnNotKnownAndTheNearestIsNamed) {
  const auto columns = wanted({{"evr.laser", ColumnType::uint8}, {"delay", ColumnType::float64}});
  const std::vector<double> delays{0.25, 0.5};
  const auto expect = [&](const std::vector<std::byte>& message) {
    const auto slots = slots_of(message, columns);
    ASSERT_EQ(slots.size(), kEvents);
    EXPECT_FALSE(slots[0].knows("evr.laser"));
    EXPECT_THAT(slots[0].why, HasSubstr("did you mean"));
    EXPECT_THAT(slots[0].why, HasSubstr("evr.lasr"));
    EXPECT_THAT(slots[1].values<double>("delay"), ElementsAre(0.5));
  };
  const auto images = counting<std::uint16_t>(kEvents * kPixels);
  const std::vector<std::uint8_t> laser{1, 0};
  expect(npz().add<std::uint8_t>("evr.lasr", {kEvents}, laser).add<double>("delay", {kEvents}, delays).bytes());
  expect(FastBinaryWriter()
             .add("detector_data", "<u2", {kEvents, 1, 20, 30}, bytes_of(images))
             .add("evr.lasr", "|u1", {kEvents}, bytes_of(laser))
             .add("delay", "<f8", {kEvents}, bytes_of(delays))
             .message());
  expect(FileWriter(temporary_file("absent.h5"))
             .add("/detector_data", {kEvents, 1, 20, 30}, images)
             .add("/evr.lasr", {kEvents}, laser)
             .add("/data/delay", {kEvents}, delays)
             .bytes());
}

TEST(EventColumns, OfAnHdf5MessageAreReadHoweverTheyAreStored) {
  const Hdf5Guard guard;  // names of types are calls of the library
  const auto images = counting<std::uint16_t>(kEvents * kPixels);
  std::vector<float> spectra(kEvents * 2048);
  std::iota(spectra.begin(), spectra.end(), 0.5F);
  const auto columns = wanted({{"spectrum", ColumnType::float32}}, 2048);
  const auto expect = [&](hid_t type, const test::Storage& storage) {
    const auto slots = slots_of(FileWriter(temporary_file("spectra.h5"))
                                    .add("/detector_data", {kEvents, 1, 20, 30}, images)
                                    .add_as("/spectrum", {kEvents, 2048}, type, spectra, storage)
                                    .bytes(),
                                columns);
    ASSERT_EQ(slots.size(), kEvents);
    EXPECT_EQ(slots[1].why, "");
    EXPECT_EQ(slots[1].values<float>("spectrum"), std::vector<float>(spectra.begin() + 2048, spectra.end()));
  };
  expect(H5T_IEEE_F32LE, {});
  expect(H5T_IEEE_F32BE, {});
  expect(H5T_IEEE_F32LE, {.chunk = {1, 2048}, .shuffle = true, .gzip = 4});
  expect(H5T_IEEE_F32LE, {.chunk = {2, 2048}});
}

TEST(EventColumns, OfASimplonImageAreItsNumbersAndItsBytes) {
  constexpr shm::Geometry kFloat{8, 2, 65, 70, PixelType::float32};
  const auto pixels = test::pack_bitshuffle(bytes_of(std::vector<float>(std::size_t{2} * 65 * 70)), 4, 4096);
  const std::vector<float> spectrum{1.5F, -2.0F, 0.1F};
  auto columns = wanted({{"laser", ColumnType::uint8}, {"pulse_energy", ColumnType::float64}});
  auto all = columns.table.all();
  all.push_back(
      {.name = "spectrum", .dataset = "/LCLS/spectrum", .unit = "", .type = ColumnType::float32, .length = 3});
  columns.table = must(shm::ColumnTable::make(all));
  columns.from.emplace_back("spectrum");
  const auto slots = slots_of(CborWriter()
                                  .text("type", "image")
                                  .number("run_id", 15)
                                  .bytes("compressed_data", pixels)
                                  .text("image_dtype", "float32")
                                  .number("laser", 1)
                                  .real("pulse_energy", 2.25)
                                  .bytes("spectrum", bytes_of(spectrum))
                                  .message(),
                              columns, kFloat);
  ASSERT_EQ(slots.size(), 1U);
  EXPECT_EQ(slots[0].why, "");
  EXPECT_THAT(slots[0].values<std::uint8_t>("laser"), ElementsAre(1));
  EXPECT_THAT(slots[0].values<double>("pulse_energy"), ElementsAre(2.25));
  EXPECT_EQ(slots[0].values<float>("spectrum"), spectrum);
}

TEST(EventColumns, OfAFileAreReadWhereTheyAreNamedOrWhereTheWriterPutsThem) {
  const std::uint8_t missing = 9;
  FileWriter writer(temporary_file("columns.h5"));
  writer.add("/entry_1/data_1/data", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
      .add("/evr/laser", {3}, std::vector<std::uint8_t>{1, 9, 0})
      .add("/LCLS/delay", {3}, std::vector<double>{0.1, 0.2, 0.3})
      .add("/LCLS/shared", {1}, std::vector<std::int32_t>{-7});
  {
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle attribute(H5Acreate_by_name(writer.file(), "/evr/laser", "missing_value", H5T_STD_U8LE,
                                                 space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               H5Aclose);
    ASSERT_GE(H5Awrite(attribute.get(), H5T_NATIVE_UINT8, &missing), 0);
  }
  const auto path = writer.path();
  Hdf5Reading reading;
  reading.columns =
      wanted({{"laser", ColumnType::int16}, {"delay", ColumnType::float64}, {"shared", ColumnType::int32}});
  reading.columns.from[0] = "evr/laser";
  reading.columns.from[1] = "some:field:of:messages";
  const auto source = must(Hdf5Source::open(path, "", kFrames, Narrowing::refuse, reading));
  const auto preloaded = must(PreloadedSource::load(*source, false, reading.columns.table));
  for (FrameSource* const from :
       {static_cast<FrameSource*>(source.get()), static_cast<FrameSource*>(preloaded.get())}) {
    const auto first = fill(*from, 0, reading.columns.table), second = fill(*from, 1, reading.columns.table);
    EXPECT_EQ(first.why, "");
    EXPECT_THAT(first.values<std::int16_t>("laser"), ElementsAre(1));
    EXPECT_FALSE(second.knows("laser")) << "the file says so, and 9 is a value of the column's own type";
    EXPECT_EQ(second.why, "");
    EXPECT_THAT(second.values<double>("delay"), ElementsAre(0.2));
    EXPECT_THAT(second.values<std::int32_t>("shared"), ElementsAre(-7));
  }
  reading.columns.from[0] = "/evr/lasr";
  const auto misspelt = must(Hdf5Source::open(path, "", kFrames, Narrowing::refuse, reading));
  EXPECT_THAT(fill(*misspelt, 0, reading.columns.table).why, HasSubstr("did you mean '/evr/laser'"));
}

}  // namespace
}  // namespace peaknet::feed
