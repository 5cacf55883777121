#include "cxi/ledger.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cxi/bytes.hpp"
#include "cxi/records.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::sample_event;
using test::sample_facts;
using test::TempFolder;

class LedgerTest : public ::testing::Test {
 protected:
  std::filesystem::path final_path() const { return folder_.path() / "a.cxi"; }
  std::filesystem::path ledger_path() const { return ledger_of(final_path()); }

  // Events 0 .. count - 1, each with an image at 1000 * number.
  std::vector<StoredEvent> events(std::uint64_t count) const {
    std::vector<StoredEvent> all;
    for (std::uint64_t i = 0; i < count; ++i) all.push_back({sample_event(i), StoredChunk{1000 * i, 100 + i, 7}});
    return all;
  }
  void write(std::uint64_t count) const {
    auto ledger = must(Ledger::create(final_path(), sample_facts()));
    must(ledger.append(events(count)));
  }
  LedgerContents read() const { return must(read_ledger(must(PosixFile::open(ledger_path(), O_RDONLY)))); }
  Result<LedgerContents> try_read() const { return read_ledger(must(PosixFile::open(ledger_path(), O_RDONLY))); }

  TempFolder folder_;
};

TEST_F(LedgerTest, GivesBackWhatWasPutIn) {
  auto facts = sample_facts();
  facts.pixel_type = PixelType::float32;
  facts.filter = Filter::bitshuffle_lz4;
  facts.with_segmentation = true;
  auto ledger = must(Ledger::create(final_path(), facts));
  must(ledger.append(events(2)));
  std::vector<StoredEvent> others = {{sample_event(9), std::nullopt},
                                     {sample_event(10), std::nullopt, StoredChunk{5, 6, 7}}};
  others[0].event.fiducial.reset();
  others[0].event.encoder_value = std::numeric_limits<double>::quiet_NaN();
  must(ledger.append(others));
  const auto contents = read();
  EXPECT_EQ(contents.facts.instance, "sample");
  EXPECT_EQ(contents.facts.instance_uuid, 77U);
  EXPECT_EQ(contents.facts.writer, 4U);
  EXPECT_EQ(contents.facts.created_ns, facts.created_ns);
  EXPECT_EQ(contents.facts.pixel_type, PixelType::float32);
  EXPECT_EQ(contents.facts.filter, Filter::bitshuffle_lz4);
  EXPECT_EQ(contents.facts.config, facts.config);
  EXPECT_TRUE(contents.facts.with_photon_energy);
  EXPECT_TRUE(contents.facts.with_segmentation);
  ASSERT_EQ(contents.events.size(), 4U);
  const auto& event = contents.events[1].event;
  EXPECT_EQ(event.key, sample_event(1).key);
  EXPECT_EQ(event.event_id, 1001U);
  EXPECT_EQ(event.timestamp, sample_event(1).timestamp);
  EXPECT_EQ(event.photon_energy_ev, 9501.0);
  EXPECT_EQ(event.fiducial, 3U);
  EXPECT_EQ(event.encoder_value, -571.5);
  EXPECT_EQ(event.source_run, "r0012");
  EXPECT_EQ(event.original_width, 65U);
  EXPECT_EQ(event.peaks, sample_event(1).peaks);
  EXPECT_EQ(contents.events[1].image, (StoredChunk{1000, 101, 7}));
  EXPECT_FALSE(contents.events[1].segmentation);
  EXPECT_FALSE(contents.events[2].image);
  EXPECT_FALSE(contents.events[2].segmentation);
  EXPECT_FALSE(contents.events[2].event.fiducial) << "not known is not 0";
  EXPECT_TRUE(std::isnan(contents.events[2].event.encoder_value));
  EXPECT_FALSE(contents.events[3].image);
  EXPECT_EQ(contents.events[3].segmentation, (StoredChunk{5, 6, 7}));
  EXPECT_EQ(contents.damaged_bytes, 0U);
  EXPECT_EQ(contents.torn_bytes, 0U);
}

TEST_F(LedgerTest, RemembersTheBadPixels) {
  auto facts = sample_facts();
  facts.bad = test::bad_mask(facts, {{0, 0, 0}, {0, 31, 64}, {1, 5, 33}});
  (void)must(Ledger::create(final_path(), facts));
  EXPECT_EQ(*read().facts.bad, *facts.bad);
  auto bytes = test::read_all(ledger_path());
  const std::size_t header = record_at(bytes)->bytes;
  bytes[header + record_at(std::span(bytes).subspan(header))->bytes - 16] ^= std::byte{1};
  test::write_all(ledger_path(), bytes);
  EXPECT_EQ(read().facts.bad->digest, "unknown") << "what was lost is not none";
  std::filesystem::remove(ledger_path());
  auto unknown = *facts.bad;
  unknown.words.clear();
  unknown.of_model.reset();
  facts.bad = std::make_shared<const BadMask>(unknown);
  (void)must(Ledger::create(final_path(), facts));
  EXPECT_EQ(*read().facts.bad, unknown);
}

TEST_F(LedgerTest, RemembersTheColumnsAndTheirRows) {
  auto facts = sample_facts();
  facts.columns = test::sample_columns();
  auto ledger = must(Ledger::create(final_path(), facts));
  auto some = events(3);
  for (auto& stored : some) stored.event.columns = facts.columns.unknown_row();
  some[1].event.columns[0] = std::byte{1};
  must(ledger.make_room(10));
  must(ledger.append(some));
  const auto contents = read();
  EXPECT_EQ(contents.facts.columns, facts.columns);
  ASSERT_EQ(contents.events.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(contents.events[i].event.columns, some[i].event.columns) << i;
  // A row of another length is no row of this table.
  some[0].event.columns.pop_back();
  must(ledger.append(std::span(some).first(1)));
  EXPECT_EQ(read().events.size(), 3U);
  EXPECT_GT(read().torn_bytes, 0U);
}

TEST_F(LedgerTest, RemembersTheLaboratory) {
  auto facts = sample_facts();
  facts.laboratory.unknown.clear();
  facts.laboratory.panels = {{"a", 0, 0, 32, 65, {-1e-3, 2e-3, 0}, {1e-4, 0, 0}, {0, 1e-4, 0}}};
  facts.laboratory.length.metres = 0.1;
  (void)must(Ledger::create(final_path(), facts));
  EXPECT_EQ(read().facts.laboratory, facts.laboratory);
  auto bytes = test::read_all(ledger_path());
  bytes[bytes.size() - 16] ^= std::byte{1};
  test::write_all(ledger_path(), bytes);
  EXPECT_NE(read().facts.laboratory.unknown, "") << "where panels were is lost";
}

TEST_F(LedgerTest, RemembersWhatWasSaidOfTheRun) {
  auto facts = sample_facts();
  facts.run_facts = {.number = 217, .proposal = "mfxl1038923", .user = "lysozyme, jet 2"};
  (void)must(Ledger::create(final_path(), facts));
  EXPECT_EQ(read().facts.run_facts, facts.run_facts);
  std::filesystem::remove(ledger_path());
  (void)must(Ledger::create(final_path(), sample_facts()));
  EXPECT_FALSE(read().facts.run_facts.any()) << "not said is not 0";
}

// Its header says 5, and ends where what was said of the run begins.
TEST_F(LedgerTest, OneWithoutWhatWasSaidOfTheRunIsRead) {
  write(2);
  const auto bytes = test::read_all(ledger_path());
  const auto header = record_at(bytes);
  constexpr std::size_t kNothingSaid = sizeof(std::int64_t) + 2 * sizeof(std::uint32_t);
  std::vector<std::byte> payload(header->payload.begin(), header->payload.end() - kNothingSaid);
  payload[0] = std::byte{5};
  ByteWriter before;
  put_record(before, header->kind, payload);
  before.put_bytes(std::span(bytes).subspan(header->bytes));
  test::write_all(ledger_path(), before.bytes());
  const auto contents = read();
  EXPECT_EQ(contents.events.size(), 2U);
  EXPECT_EQ(contents.damaged_bytes, 0U);
  EXPECT_FALSE(contents.facts.run_facts.any());
}

// As the version before wrote it: its header says 3, and no bad pixels follow.
TEST_F(LedgerTest, OneOfTheVersionBeforeIsRead) {
  write(2);
  const auto bytes = test::read_all(ledger_path());
  const std::span<const std::byte> all(bytes);
  const auto header = record_at(all);
  const auto bad = record_at(all.subspan(header->bytes));
  std::vector<std::byte> payload(header->payload.begin(), header->payload.end());
  payload[0] = std::byte{3};
  ByteWriter before;
  put_record(before, header->kind, payload);
  before.put_bytes(all.subspan(header->bytes + bad->bytes));
  test::write_all(ledger_path(), before.bytes());
  const auto contents = read();
  EXPECT_EQ(contents.events.size(), 2U);
  EXPECT_EQ(contents.damaged_bytes, 0U);
  EXPECT_TRUE(contents.facts.bad->words.empty());
}

TEST_F(LedgerTest, CutAnywhereItHoldsTheWholeRecordsBeforeTheCut) {
  write(3);
  std::uint64_t least = 3;
  for (std::size_t size = std::filesystem::file_size(ledger_path()); size-- > 0;) {
    std::filesystem::resize_file(ledger_path(), size);
    const auto contents = try_read();
    if (!contents) {
      EXPECT_EQ(contents.error().id, "ledger.no-header") << size;
      least = 0;
      continue;
    }
    EXPECT_LE(contents->events.size(), least) << size;
    EXPECT_EQ(contents->damaged_bytes, 0U) << size;
    least = contents->events.size();
    for (std::uint64_t i = 0; i < least; ++i) EXPECT_EQ(contents->events[i].event.key.producer_seq, i);
  }
  EXPECT_EQ(least, 0U);
}

TEST_F(LedgerTest, AFlippedBitCostsItsRecordAndNoOther) {
  write(3);
  const auto whole = test::read_all(ledger_path());
  const auto file = must(PosixFile::open(ledger_path(), O_RDWR));
  std::size_t without_header = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 3) {
    const std::byte changed = whole[bit / 8] ^ std::byte{1} << (bit % 8);
    must(file.write_at(bit / 8, {&changed, 1}));
    const auto contents = try_read();
    must(file.write_at(bit / 8, {&whole[bit / 8], 1}));
    if (!contents) {
      ++without_header;
      continue;
    }
    ASSERT_GE(contents->events.size(), 2U) << bit;
    for (const auto& stored : contents->events)
      EXPECT_EQ(stored.event.peaks, sample_event(stored.event.key.producer_seq).peaks) << bit;
    if (contents->events.size() == 2) {
      EXPECT_GT(contents->damaged_bytes + contents->torn_bytes, 0U) << bit;
    }
  }
  EXPECT_GT(without_header, 0U);
}

TEST_F(LedgerTest, ZerosAtItsEndAreTornAndNotDamaged) {
  write(2);
  auto bytes = test::read_all(ledger_path());
  bytes.resize(bytes.size() + 4096);  // what a power cut leaves of an append that was not yet on the disk
  test::write_all(ledger_path(), bytes);
  EXPECT_EQ(read().events.size(), 2U);
  EXPECT_EQ(read().torn_bytes, 4096U);
  EXPECT_EQ(read().damaged_bytes, 0U);
}

TEST_F(LedgerTest, IsLockedAsLongAsItsWriterLives) {
  {
    const auto ledger = must(Ledger::create(final_path(), sample_facts()));
    EXPECT_FALSE(must(must(PosixFile::open(ledger_path(), O_RDWR)).try_lock()));
  }
  EXPECT_TRUE(must(must(PosixFile::open(ledger_path(), O_RDWR)).try_lock()));
  std::filesystem::remove(ledger_path());

  auto writer = test::Child::run([&] {
    const auto ledger = must(Ledger::create(final_path(), sample_facts()));
    ::pause();
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return std::filesystem::exists(ledger_path()); }));
  EXPECT_FALSE(must(must(PosixFile::open(ledger_path(), O_RDWR)).try_lock()));
  writer.kill();
  EXPECT_TRUE(must(must(PosixFile::open(ledger_path(), O_RDWR)).try_lock()));
}

TEST_F(LedgerTest, NeverReplacesAnotherAndLeavesNothingBehindWhenItCannotBeMade) {
  write(1);
  const auto before = test::read_all(ledger_path());
  const auto second = Ledger::create(final_path(), sample_facts());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().id, "output.exists");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"a.cxi.ledger"});
  EXPECT_EQ(test::read_all(ledger_path()), before);
}

TEST_F(LedgerTest, RemovesItsName) {
  auto ledger = must(Ledger::create(final_path(), sample_facts()));
  must(ledger.remove());
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(LedgerTest, ItsHeaderAloneCanBeRead) {
  write(1);
  EXPECT_EQ(final_of(ledger_path()), final_path());
  EXPECT_EQ(must(read_ledger_header(must(PosixFile::open(ledger_path(), O_RDONLY)))).run, "0217");
}

}  // namespace
}  // namespace peaknet::writer
