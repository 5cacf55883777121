#include "shm/columns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using test::must;
using test::small_frames;
using test::TestInstance;

Column column(const std::string& name, ColumnType type, std::uint32_t length = 0) {
  return {.name = name,
          .dataset = "/LCLS/" + name,
          .unit = "",
          .type = type,
          .length = length,
          .unknown = usual_unknown(type)};
}
ColumnTable some_columns() {
  return must(ColumnTable::make({column("laser_on", ColumnType::uint8), column("codes", ColumnType::uint8, 255),
                                 column("spectrum", ColumnType::float32, 2048), column("delay", ColumnType::float64)}));
}
TestInstance::Options with_columns(std::uint32_t slots = 4) {
  return {.geometry = small_frames(slots), .columns = some_columns()};
}
std::vector<float> spectrum(float first) {
  std::vector<float> values(2048);
  std::iota(values.begin(), values.end(), first);
  return values;
}
template <class T>
std::vector<T> values_in(const ColumnTable& table, const ColumnRow& row, const std::string& name) {
  const auto bytes = table.values(row, *table.find(name));
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}
HeldFrame take_one(Consumer& consumer) {
  auto taken = consumer.take(1);
  EXPECT_EQ(taken.frames.size(), 1U);
  return std::move(taken.frames.front());
}

TEST(Columns, types_are_those_of_numpy_and_of_cpp) {
  EXPECT_EQ(column_type_of<std::uint8_t>(), ColumnType::uint8);
  EXPECT_EQ(column_type_of<std::int8_t>(), ColumnType::int8);
  EXPECT_EQ(column_type_of<std::uint64_t>(), ColumnType::uint64);
  EXPECT_EQ(column_type_of<std::int32_t>(), ColumnType::int32);
  EXPECT_EQ(column_type_of<float>(), ColumnType::float32);
  for (std::uint32_t type = 1; type <= kColumnTypes; ++type) {
    const auto known = static_cast<ColumnType>(type);
    EXPECT_EQ(parse_column_type(name(known)), known);
    with_column_type(known, [&](auto zero) {
      EXPECT_EQ(column_type_of<decltype(zero)>(), known);
      EXPECT_EQ(size_of(known), sizeof zero);
    });
  }
  EXPECT_FALSE(parse_column_type("uint128"));
  EXPECT_EQ(size_of(static_cast<ColumnType>(11)), 0U);
}

TEST(Columns, a_table_that_cannot_be_is_refused_with_the_limit) {
  const auto refused = [](std::vector<Column> columns) {
    const auto table = ColumnTable::make(std::move(columns));
    return table ? std::string("made") : table.error().id + ": " + table.error().what;
  };
  EXPECT_THAT(refused({column("", ColumnType::uint8)}), testing::HasSubstr("no name"));
  EXPECT_THAT(refused({column("a b", ColumnType::uint8)}), testing::HasSubstr("no name"));
  EXPECT_THAT(refused({column("a", ColumnType::uint8), column("a", ColumnType::int8)}),
              testing::HasSubstr("two columns"));
  EXPECT_THAT(refused({column("a", static_cast<ColumnType>(99))}), testing::HasSubstr("no known type"));
  EXPECT_THAT(refused({column("a", ColumnType::uint8, kMostColumnValues + 1)}), testing::HasSubstr("at most 65536"));
  EXPECT_THAT(refused({column("a", ColumnType::float64, 32768), column("b", ColumnType::uint8)}),
              testing::HasSubstr("at most 262144"));
  auto inside = column("b", ColumnType::uint8);
  inside.dataset = "/LCLS/a/b";
  EXPECT_THAT(refused({column("a", ColumnType::uint8), inside}), testing::HasSubstr("cannot be"));
  auto relative = column("a", ColumnType::uint8);
  relative.dataset = "LCLS/a";
  EXPECT_THAT(refused({relative}), testing::HasSubstr("no path"));
  EXPECT_THAT(refused(std::vector<Column>(65, column("a", ColumnType::uint8))), testing::HasSubstr("at most 64"));
  EXPECT_EQ(refused({}), "made");
}

TEST(Columns, a_table_survives_shared_memory_and_damage_to_it_is_seen) {
  const ColumnTable table = some_columns();
  auto records = table.records();
  const auto again = must(ColumnTable::from_records(records));
  EXPECT_EQ(again, table);
  EXPECT_EQ(again.digest(), table.digest());
  records[1].name.fill('x');
  EXPECT_FALSE(ColumnTable::from_records(records)) << "a text without an end";
  records = table.records();
  records[2].length = 0xffff'ffffU;
  EXPECT_FALSE(ColumnTable::from_records(records));
  records = table.records();
  records[0].type = 0;
  EXPECT_FALSE(ColumnTable::from_records(records));
}

TEST(Columns, a_pool_without_columns_is_laid_out_as_before) {
  TestInstance instance({.geometry = small_frames(4)});
  const Geometry& geometry = instance.pool().geometry();
  EXPECT_EQ(geometry.side_bytes, 0U);
  EXPECT_EQ(geometry.slot_stride(), 2 * kPage + kPage) << "64 x 48 x 2 bytes of image and 384 of mask";
  EXPECT_EQ(sizeof(PoolHeader), 320U);
  EXPECT_EQ(PoolOffsets(geometry).payload, kPayloadAlignment);
  auto producer = instance.producer();
  auto frame = must(producer->claim(std::chrono::seconds(1)));
  EXPECT_FALSE(frame.columns().any());
  EXPECT_EQ(frame.columns().set("laser_on", std::uint8_t{1}).error().id, "columns.unknown");
  must(frame.commit());
  EXPECT_TRUE(take_one(*instance.consumer(Queue::q1)).columns().empty());
}

TEST(Columns, what_a_producer_sets_reaches_the_writer_bit_for_bit_and_the_rest_is_not_known) {
  const TestInstance instance(with_columns());
  const auto producer = instance.producer();
  auto frame = must(producer->claim(std::chrono::seconds(1)));
  std::vector<float> sent = spectrum(0.1F);
  sent[7] = std::numeric_limits<float>::signaling_NaN();
  must(frame.columns().set("laser_on", std::uint8_t{1}));
  must(frame.columns().set("spectrum", std::span<const float>(sent)));
  must(frame.commit());
  auto device = instance.consumer(Queue::q1), writer = instance.consumer(Queue::q2);
  must(take_one(*device).publish(ResultStatus::mask, 1));
  const auto held = take_one(*writer);
  const ColumnTable& table = held.column_table();
  const ColumnRow row = held.columns();
  EXPECT_THAT(values_in<std::uint8_t>(table, row, "laser_on"), testing::ElementsAre(1));
  EXPECT_EQ(std::memcmp(table.values(row, *table.find("spectrum")).data(), sent.data(), sent.size() * sizeof(float)),
            0);
  EXPECT_TRUE(table.known(row, *table.find("spectrum")));
  EXPECT_FALSE(table.known(row, *table.find("codes")));
  EXPECT_THAT(values_in<std::uint8_t>(table, row, "codes"), testing::Each(255));
  EXPECT_TRUE(std::isnan(values_in<double>(table, row, "delay").front()));
}

TEST(Columns, nothing_of_a_slots_last_frame_is_known_of_the_next) {
  const TestInstance instance(with_columns(2));
  const auto producer = instance.producer();
  const auto device = instance.consumer(Queue::q1), writer = instance.consumer(Queue::q2);
  for (const bool known : {true, false, true, false}) {
    auto frame = must(producer->claim(std::chrono::seconds(1)));
    if (known) must(frame.columns().set("laser_on", std::uint8_t{1}));
    must(frame.commit());
    must(take_one(*device).publish(ResultStatus::mask, 1));
    auto held = take_one(*writer);
    EXPECT_EQ(held.column_table().known(held.columns(), 0), known);
    must(held.finish(Counter::written));
  }
}

TEST(Columns, a_frame_that_was_moved_keeps_what_was_set) {
  const TestInstance instance(with_columns());
  const auto producer = instance.producer();
  auto first = must(producer->claim(std::chrono::seconds(1)));
  must(first.columns().set("delay", 1.5));
  Frame moved = std::move(first);
  must(moved.commit());
  const auto device = instance.consumer(Queue::q1);
  const auto held = take_one(*device);
  EXPECT_THAT(values_in<double>(held.column_table(), held.columns(), "delay"), testing::ElementsAre(1.5));
}

TEST(Columns, a_name_or_type_that_the_pool_does_not_have_is_refused_with_what_it_has) {
  const TestInstance instance(with_columns());
  const auto producer = instance.producer();
  auto frame = must(producer->claim(std::chrono::seconds(1)));
  EXPECT_THAT(frame.columns().set("laser_no", std::uint8_t{1}).error().what,
              testing::HasSubstr("did you mean 'laser_on'"));
  const auto type = frame.columns().set("laser_on", 1);
  EXPECT_EQ(type.error().id, "columns.other-type");
  EXPECT_THAT(type.error().what, testing::AllOf(testing::HasSubstr("int32"), testing::HasSubstr("uint8")));
  EXPECT_EQ(frame.columns().set("spectrum", 1.0F).error().id, "columns.other-type") << "too short";
  must(frame.commit());
  const auto device = instance.consumer(Queue::q1);
  const auto held = take_one(*device);
  EXPECT_EQ(held.columns(), held.column_table().unknown_row());
}

TEST(Columns, a_side_area_that_somebody_wrote_over_is_not_believed) {
  const TestInstance instance(with_columns());
  const auto producer = instance.producer();
  auto frame = must(producer->claim(std::chrono::seconds(1)));
  must(frame.columns().set("laser_on", std::uint8_t{1}));
  must(frame.commit());
  const auto device = instance.consumer(Queue::q1);
  const auto held = take_one(*device);
  auto* const side = reinterpret_cast<SideHeader*>(instance.pool().side(held.slot()));
  const SideHeader good = *side;
  const auto expect_unknown = [&](auto& field) {
    ++field;
    EXPECT_EQ(held.columns(), held.column_table().unknown_row());
    *side = good;
    EXPECT_TRUE(held.column_table().known(held.columns(), 0));
  };
  expect_unknown(side->magic);
  expect_unknown(side->version);
  expect_unknown(side->table);
  expect_unknown(side->sequence);
  side->known = ~std::uint64_t{0};  // also bits of columns that there are not
  EXPECT_EQ(held.columns().size(), held.column_table().row_bytes());
}

TEST(Columns, a_pool_whose_table_is_damaged_is_refused) {
  const TestInstance instance(with_columns());
  auto* const records = reinterpret_cast<ColumnRecord*>(reinterpret_cast<std::byte*>(&instance.pool().header()) +
                                                        PoolOffsets(instance.pool().geometry()).columns);
  const auto refused = [&] {
    const auto pool = instance.control_segment().open_pool(Access::read_write);
    return pool ? std::string("opened") : pool.error().id;
  };
  EXPECT_EQ(refused(), "opened");
  for (const std::uint32_t length : {1U, 254U, 2049U, 0xffff'ffffU}) {
    const auto good = std::exchange(records[2].length, length);
    EXPECT_EQ(refused(), "pool.damaged") << length;
    records[2].length = good;
  }
  PoolHeader& header = instance.pool().header();
  for (const std::uint32_t count : {0U, 3U, 5U, 65U, 0xffff'ffffU}) {
    const auto good = std::exchange(header.columns, count);
    EXPECT_EQ(refused(), "pool.damaged") << count;
    header.columns = good;
  }
  for (const std::uint32_t bytes : {0U, 4096U, 0xffff'ffffU}) {
    const auto good = std::exchange(header.side_bytes, bytes);
    EXPECT_EQ(refused(), "pool.damaged") << bytes;
    header.side_bytes = good;
  }
  EXPECT_EQ(refused(), "opened");
}

}  // namespace
}  // namespace peaknet::shm
