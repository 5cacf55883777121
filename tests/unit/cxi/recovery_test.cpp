#include "cxi/recovery.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "cxi/reader.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::difference;
using test::leave_orphan;
using test::must;
using test::sample_event;
using test::sample_facts;
using Names = std::vector<std::string>;

class RecoveryTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kUuid = 77;  // that of sample_facts()
  std::filesystem::path final_path() const { return folder_.path() / "a.cxi"; }
  std::filesystem::path part() const { return part_of(final_path()); }
  std::filesystem::path ledger() const { return ledger_of(final_path()); }
  Recovery recovery() const { return {folder_.path(), "sample"}; }
  static EventKey key(std::uint64_t number) { return sample_event(number).key; }

  // The finished file holds exactly these events.
  void expect_events(const std::vector<std::uint64_t>& numbers, const FileFacts& facts = sample_facts()) const {
    const auto reader = CxiReader::open(final_path());
    ASSERT_TRUE(reader.ok()) << reader.error().text();
    ASSERT_EQ(reader.value().events(), numbers.size());
    for (std::size_t row = 0; row < numbers.size(); ++row)
      EXPECT_EQ(difference(final_path(), row, numbers[row], facts), "");
  }

  test::TempFolder folder_;
};

TEST_F(RecoveryTest, MakesTheFileOfADeadWriterAgain) {
  leave_orphan(final_path(), sample_facts(), 5);
  auto recovery = this->recovery();
  const auto findings = recovery.look();
  ASSERT_EQ(findings.finished.size(), 1U);
  EXPECT_EQ(findings.finished[0].path, final_path());
  EXPECT_EQ(findings.finished[0].events, 5U);
  EXPECT_TRUE(findings.problems.empty());
  expect_events({0, 1, 2, 3, 4});
  const auto failing = test::failing_items(final_path(), "--events 5 --recovered");
  EXPECT_TRUE(failing.empty() || failing == "skipped") << failing;
  EXPECT_EQ(folder_.names(), (Names{"a.cxi", "a.cxi.ledger"}));
  EXPECT_TRUE(recovery.known(kUuid, key(4)));
  EXPECT_FALSE(recovery.known(kUuid, key(5)));
  EXPECT_FALSE(recovery.known(kUuid + 1, key(4))) << "another life of the instance counts its producers anew";
}

TEST_F(RecoveryTest, TakesOnlyWhatTheLedgerCallsDurable) {
  leave_orphan(final_path(), sample_facts(), 3, 2);
  auto recovery = this->recovery();
  recovery.look();
  expect_events({0, 1, 2});
  EXPECT_FALSE(recovery.known(kUuid, key(3)));
}

TEST_F(RecoveryTest, CopiesTheMasksToo) {
  for (const auto filter : {Filter::none, Filter::bitshuffle_lz4}) {
    for (const bool with_images : {true, false}) {
      auto facts = sample_facts();
      facts.filter = filter;
      facts.with_images = with_images;
      facts.with_segmentation = true;
      leave_orphan(final_path(), facts, 4, 1);
      const auto findings = recovery().look();
      EXPECT_TRUE(findings.problems.empty());
      expect_events({0, 1, 2, 3}, facts);
      std::filesystem::remove(final_path());
      std::filesystem::remove(ledger());
    }
  }
}

TEST_F(RecoveryTest, TheFileMadeAgainHasTheBadPixelsInItsMask) {
  auto facts = sample_facts();
  facts.bad = test::bad_mask(facts, {{0, 3, 7}, {1, 2, 64}});
  leave_orphan(final_path(), facts, 2, 1);
  EXPECT_TRUE(recovery().look().problems.empty());
  const auto mask = test::numbers_of(final_path(), "/entry_1/data_1/mask");
  ASSERT_EQ(mask.size(), 64U * 65U);
  EXPECT_EQ(mask[3 * 65 + 7], 1);
  EXPECT_EQ(mask[34 * 65 + 64], 1);
  EXPECT_EQ(test::attribute_of(final_path(), "/entry_1/peaknet", "bad_pixels"), "0123456789abcdef");
}

// What a power cut may leave of a disk that lied: the event was called durable, and its mask is not there.
TEST_F(RecoveryTest, AnEventWhoseMaskCannotBeReadAgainIsNamedAndTheOthersAreRecovered) {
  auto facts = sample_facts();
  facts.with_segmentation = true;
  leave_orphan(final_path(), facts, 4);
  const auto place = must(read_ledger(must(PosixFile::open(ledger(), O_RDONLY)))).events.at(2).segmentation;
  ASSERT_TRUE(place);
  auto bytes = test::read_all(part());
  bytes[place->address + place->size / 2] ^= std::byte{1};
  test::write_all(part(), bytes);
  const auto findings = recovery().look();
  ASSERT_EQ(findings.problems.size(), 1U);
  EXPECT_EQ(findings.problems[0].id, "recovery.damaged");
  EXPECT_NE(findings.problems[0].what.find(describe(key(2))), std::string::npos) << findings.problems[0].what;
  expect_events({0, 1, 3}, facts);
}

TEST_F(RecoveryTest, CopiesCompressedImagesAndPeaksOnlyFilesToo) {
  auto facts = sample_facts();
  facts.filter = Filter::bitshuffle_lz4;
  leave_orphan(final_path(), facts, 4);
  recovery().look();
  expect_events({0, 1, 2, 3}, facts);
  std::filesystem::remove(final_path());
  std::filesystem::remove(ledger());
  facts.filter = Filter::none;
  facts.with_images = false;
  leave_orphan(final_path(), facts, 4);
  recovery().look();
  expect_events({0, 1, 2, 3}, facts);
}

// The broken HDF5 is never opened: its own structures may be anything.
TEST_F(RecoveryTest, DoesNotNeedASingleByteOfHDF5) {
  leave_orphan(final_path(), sample_facts(), 5);
  auto bytes = test::read_all(part());
  const auto contents = must(read_ledger(must(PosixFile::open(ledger(), O_RDONLY))));
  std::vector<bool> image(bytes.size(), false);
  for (const auto& stored : contents.events) {
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(stored.image->address), stored.image->size, true);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (!image[i]) bytes[i] = std::byte{0xa5};
  }
  test::write_all(part(), bytes);
  EXPECT_TRUE(recovery().look().problems.empty());
  expect_events({0, 1, 2, 3, 4});
}

TEST_F(RecoveryTest, WithALedgerCutAnywhereItFindsWhatIsWhole) {
  auto facts = sample_facts();
  facts.height = 8;  // small images: many cuts
  leave_orphan(final_path(), facts, 3);
  const auto whole_ledger = test::read_all(ledger());
  const auto whole_part = test::read_all(part());
  std::uint64_t most = 0;
  std::vector<std::size_t> sizes{whole_ledger.size()};
  for (std::size_t size = 0; size < whole_ledger.size(); size += size < 600 ? 25 : 3) sizes.push_back(size);
  std::sort(sizes.begin(), sizes.end());
  for (const std::size_t size : sizes) {
    for (const auto& name : folder_.names()) std::filesystem::remove(folder_.path() / name);
    test::write_all(ledger(), std::span(whole_ledger).first(size));
    test::write_all(part(), whole_part);
    auto recovery = this->recovery();
    const auto findings = recovery.look();
    if (!findings.problems.empty()) {  // no header: cannot be by a crash, so nothing is deleted
      EXPECT_EQ(findings.problems[0].id, "recovery.damaged");
      EXPECT_EQ(folder_.names(), (Names{"a.cxi.ledger.damaged", "a.cxi.part.damaged"})) << size;
      EXPECT_EQ(most, 0U);
      continue;
    }
    const std::uint64_t events = findings.finished.empty() ? 0 : findings.finished[0].events;
    ASSERT_GE(events, most) << size;
    most = events;
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(recovery.known(kUuid, key(i)), i < events) << size;
    if (events == 0) {
      EXPECT_TRUE(folder_.names().empty()) << size;
    } else {
      EXPECT_EQ(folder_.names(), (Names{"a.cxi", "a.cxi.ledger"})) << size;
      EXPECT_EQ(must(CxiReader::open(final_path())).events(), events) << size;
    }
  }
  EXPECT_EQ(most, 3U);
}

TEST_F(RecoveryTest, CutShortAnywhereItIsDoneAgainByTheNext) {
  leave_orphan(final_path(), sample_facts(), 4);
  const auto part_bytes = test::read_all(part());
  // A recovery that died while it wrote its file.
  test::write_all(folder_.path() / "a.cxi.recovering", std::span(part_bytes).first(5000));
  recovery().look();
  expect_events({0, 1, 2, 3});
  // One that died between giving the name and removing the .part.
  test::write_all(part(), part_bytes);
  auto last = recovery();
  const auto findings = last.look();
  EXPECT_TRUE(findings.finished.empty());
  EXPECT_EQ(folder_.names(), (Names{"a.cxi", "a.cxi.ledger"}));
  EXPECT_TRUE(last.known(kUuid, key(3)));
}

TEST_F(RecoveryTest, KilledAtRandomMomentsAgainAndAgainItEndsWithOneWholeFile) {
  auto facts = sample_facts();
  facts.height = facts.width = 300;
  for (int round = 0; round < 10; ++round) {
    leave_orphan(final_path(), facts, 6);
    for (int kills = 0; kills < 5; ++kills) {
      auto child = test::Child::run([&] {
        recovery().look();
        return 0;
      });
      (void)child.wait_for(std::chrono::milliseconds((round * 7 + kills * 3) % 12));
      child.kill();
    }
    recovery().look();
    expect_events({0, 1, 2, 3, 4, 5}, facts);
    for (const auto& name : folder_.names()) std::filesystem::remove(folder_.path() / name);
  }
}

TEST_F(RecoveryTest, AFinishedFileIsOnlyRemembered) {
  leave_orphan(final_path(), sample_facts(), 2);
  recovery().look();
  const auto finished = test::read_all(final_path());
  auto next = recovery();
  EXPECT_TRUE(next.look().finished.empty());
  EXPECT_TRUE(next.known(kUuid, key(1)));
  EXPECT_EQ(test::read_all(final_path()), finished);
  // Somebody moves finished files away while their frames are still in slots.
  std::filesystem::remove(final_path());
  auto third = recovery();
  EXPECT_TRUE(third.look().problems.empty());
  EXPECT_TRUE(third.known(kUuid, key(1)));
  EXPECT_FALSE(std::filesystem::exists(final_path()));
}

TEST_F(RecoveryTest, APairWithoutADurableEventGoesWithoutATrace) {
  leave_orphan(final_path(), sample_facts(), 0, 3);
  EXPECT_TRUE(recovery().look().finished.empty());
  EXPECT_TRUE(folder_.names().empty());
  { const auto ledger = must(Ledger::create(final_path(), sample_facts())); }  // died before the .part was made
  EXPECT_TRUE(recovery().look().problems.empty());
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(RecoveryTest, LeavesALivingWritersFileAlone) {
  const auto ledger = must(Ledger::create(final_path(), sample_facts()));
  const auto findings = recovery().look();
  ASSERT_EQ(findings.held.size(), 1U);
  EXPECT_EQ(findings.held[0].writer, 4U);
  EXPECT_EQ(findings.held[0].instance_uuid, kUuid);
  EXPECT_EQ(folder_.names(), (Names{"a.cxi.ledger"}));
}

TEST_F(RecoveryTest, LeavesOtherInstancesToTheirOwnWriters) {
  auto facts = sample_facts();
  facts.instance = "other";
  leave_orphan(final_path(), facts, 2);
  const auto findings = recovery().look();
  EXPECT_TRUE(findings.finished.empty() && findings.problems.empty() && findings.held.empty());
  EXPECT_EQ(folder_.names(), (Names{"a.cxi.ledger", "a.cxi.part"}));
}

TEST_F(RecoveryTest, AnImageThatChangedIsMissedByNameAndTheOthersAreSaved) {
  leave_orphan(final_path(), sample_facts(), 4);
  const auto contents = must(read_ledger(must(PosixFile::open(ledger(), O_RDONLY))));
  auto bytes = test::read_all(part());
  bytes[contents.events[1].image->address + 17] ^= std::byte{1};
  test::write_all(part(), bytes);
  auto recovery = this->recovery();
  const auto findings = recovery.look();
  ASSERT_EQ(findings.problems.size(), 1U);
  EXPECT_EQ(findings.problems[0].id, "recovery.damaged");
  EXPECT_NE(findings.problems[0].what.find(describe(key(1))), std::string::npos) << findings.problems[0].text();
  expect_events({0, 2, 3});
  EXPECT_FALSE(recovery.known(kUuid, key(1))) << "comes it again, it must be written";
  EXPECT_TRUE(recovery.known(kUuid, key(2)));
  EXPECT_EQ(folder_.names(), (Names{"a.cxi", "a.cxi.ledger", "a.cxi.part.damaged"}));
  auto next = this->recovery();
  next.look();
  EXPECT_FALSE(next.known(kUuid, key(1)));
  EXPECT_TRUE(next.known(kUuid, key(2)));
  EXPECT_TRUE(next.forget(kUuid, {}).empty());
  EXPECT_EQ(folder_.names(), (Names{"a.cxi", "a.cxi.ledger.damaged", "a.cxi.part.damaged"})) << "for people to look at";
}

TEST_F(RecoveryTest, APartThatWasCutKeepsItsWholeImages) {
  leave_orphan(final_path(), sample_facts(), 4);
  const auto contents = must(read_ledger(must(PosixFile::open(ledger(), O_RDONLY))));
  std::filesystem::resize_file(part(), contents.events[2].image->address + 5);
  EXPECT_EQ(recovery().look().problems.size(), 1U);
  expect_events({0, 1});
}

TEST_F(RecoveryTest, ALedgerGoesWhenNoSlotNeedsItAnyMore) {
  leave_orphan(final_path(), sample_facts(), 3);
  auto recovery = this->recovery();
  recovery.look();
  EXPECT_TRUE(recovery.forget(kUuid, {key(2), key(9)}).empty());
  EXPECT_TRUE(recovery.remembers_any());
  EXPECT_TRUE(std::filesystem::exists(ledger()));
  EXPECT_TRUE(recovery.forget(kUuid, {key(9)}).empty());
  EXPECT_FALSE(recovery.remembers_any());
  EXPECT_FALSE(recovery.known(kUuid, key(2)));
  EXPECT_EQ(folder_.names(), (Names{"a.cxi"}));
}

TEST_F(RecoveryTest, ALedgerOfAFormerLifeOfTheInstanceGoesAtOnce) {
  leave_orphan(final_path(), sample_facts(), 3);
  auto recovery = this->recovery();
  recovery.look();
  recovery.forget(kUuid + 1, {key(0), key(1)});
  EXPECT_EQ(folder_.names(), (Names{"a.cxi"}));
}

TEST_F(RecoveryTest, OnAFullDiskTheEventsAreKnownAndTheFileIsMadeLater) {
  const test::SmallDisk disk(3 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  auto facts = sample_facts();
  facts.height = facts.width = 256;
  const auto made = disk.path() / "a.cxi";
  leave_orphan(made, facts, 5);
  const auto ballast = disk.path() / "ballast";
  test::write_all(ballast, std::vector<std::byte>(3 << 20));  // takes what is left
  Recovery recovery(disk.path(), "sample");
  auto findings = recovery.look();
  EXPECT_TRUE(findings.unfinished);
  EXPECT_FALSE(findings.unreadable);
  ASSERT_FALSE(findings.problems.empty());
  EXPECT_EQ(findings.problems[0].id, "output.disk-full");
  EXPECT_TRUE(recovery.known(kUuid, key(4)));
  EXPECT_FALSE(recovery.durable(kUuid, key(4))) << "its slot may not be freed yet";
  EXPECT_TRUE(recovery.forget(kUuid, {}).empty());
  EXPECT_TRUE(std::filesystem::exists(ledger_of(made))) << "needed until the file is whole";
  std::filesystem::remove(ballast);
  findings = recovery.look();
  EXPECT_FALSE(findings.unfinished);
  EXPECT_TRUE(recovery.durable(kUuid, key(4)));
  ASSERT_EQ(findings.finished.size(), 1U);
  for (std::uint64_t number = 0; number < 5; ++number) EXPECT_EQ(difference(made, number, number, facts), "");
}

TEST_F(RecoveryTest, AFolderThatIsGoneSaysThatNothingIsKnown) {
  Recovery recovery(folder_.path() / "gone", "sample");
  const auto findings = recovery.look();
  EXPECT_TRUE(findings.unreadable);
  ASSERT_EQ(findings.problems.size(), 1U);
  EXPECT_EQ(findings.problems[0].id, "output.folder-missing");
}

TEST_F(RecoveryTest, BeginningsOfLedgersAndSumsAreRemovedWhenTheyAreOld) {
  for (const char* name : {"b.cxi.ledger.new", "p_run1_w3_0.sums.h5.new"}) {
    const auto beginning = folder_.path() / name;
    test::write_all(beginning, {});
    recovery().look();
    EXPECT_TRUE(std::filesystem::exists(beginning)) << "its writer may be about to lock it";
    const auto now = std::filesystem::file_time_type::clock::now();
    std::filesystem::last_write_time(beginning, now - std::chrono::minutes(5));
    recovery().look();
    EXPECT_FALSE(std::filesystem::exists(beginning));
  }
}

}  // namespace
}  // namespace peaknet::writer
