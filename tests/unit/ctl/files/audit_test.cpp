#include "ctl/files/audit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ctl/files/finished_file.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using testing::HasSubstr;

class AuditTest : public ::testing::Test {
 protected:
  // A finished file with frames `first` to `last` of producer 3.
  std::filesystem::path finish(std::uint64_t first, std::uint64_t last, const Closing& closing = {}) {
    const auto path =
        folder_.path() / ("p_run0217_20261121_101500_000000_w4_chunk000" + std::to_string(files_++) + ".cxi");
    const auto facts = test::sample_facts();
    auto file = must(CxiFile::create(path, facts));
    for (std::uint64_t i = first; i <= last; ++i)
      must(file.append(test::sample_event(i), test::sample_image(i, facts)));
    must(file.finish(closing));
    return path;
  }
  void enter(FrameEnd end, std::uint64_t producer, std::uint64_t first, std::uint64_t count) {
    must(outcome_log_.append(std::vector<FrameRange>{{end, producer, first, count}}));
  }
  void accounting(std::uint64_t committed, std::vector<std::pair<std::string, std::uint64_t>> more,
                  std::vector<std::pair<std::uint64_t, std::uint64_t>> by = {}, bool settled = true) {
    AccountingSnapshot then{++now_, settled, {{"committed", committed}}, std::move(by)};
    then.totals.insert(then.totals.end(), more.begin(), more.end());
    must(outcome_log_.append(then));
  }
  Audit audit() const { return must(audit_folders({folder_.path()})); }
  static std::vector<std::string> ids(const std::vector<Error>& errors) {
    std::vector<std::string> found;
    for (const auto& error : errors) found.push_back(error.id);
    return found;
  }

  test::TempFolder folder_;
  OutcomeLog outcome_log_{folder_.path(), "p", {"sample", 77, 4, 1}};
  int files_ = 0;
  std::int64_t now_ = 0;
};

TEST_F(AuditTest, IsContentWhenEveryFrameIsInAFileOrHasAnEnd) {
  finish(0, 4);
  enter(FrameEnd::filtered, 3, 5, 10);
  finish(15, 15);
  enter(FrameEnd::failed_model, 3, 16, 1);
  enter(FrameEnd::failed_mask, 9, 0, 2);
  enter(FrameEnd::dropped_shed, 9, 2, 3);
  accounting(22, {{"written", 6}, {"filtered", 10}, {"failed_model", 1}, {"failed_mask", 2}, {"dropped_shed", 3}},
             {{3, 17}, {9, 5}});
  const auto found = audit();
  EXPECT_TRUE(found.proved()) << (found.problems.empty() ? "" : found.problems[0].text());
  ASSERT_EQ(found.instances.size(), 1U);
  const auto& instance = found.instances[0];
  EXPECT_EQ(instance.instance, "sample");
  EXPECT_EQ(instance.uuid, 77U);
  EXPECT_EQ(instance.files, 2U);
  EXPECT_EQ(instance.in_files, 6U);
  EXPECT_EQ(instance.ended.at("filtered"), 10U);
  EXPECT_EQ(instance.ended.at("failed_model"), 1U);
  EXPECT_EQ(instance.ended.at("failed_mask"), 2U);
  EXPECT_EQ(instance.ended.at("dropped_shed"), 3U);
  EXPECT_TRUE(instance.without_end.empty());
}

TEST_F(AuditTest, AFrameInNoFileAndNoBookIsNamed) {
  finish(0, 4);
  finish(6, 8);
  accounting(9, {{"written", 8}});
  const auto found = audit();
  EXPECT_EQ(ids(found.problems), std::vector<std::string>{"audit.missing"});
  EXPECT_EQ(found.instances[0].missing, 1U);
  EXPECT_THAT(found.problems[0].text(), HasSubstr("producer 3 frame 5"));
}

TEST_F(AuditTest, AnAcknowledgedFrameWhoseFileIsGoneIsMissing) {
  finish(0, 4);
  const auto lost = finish(5, 8);
  accounting(9, {{"written", 9}}, {{3, 9}});
  EXPECT_TRUE(audit().proved());
  std::filesystem::remove(lost);
  const auto found = audit();
  EXPECT_EQ(ids(found.problems), (std::vector<std::string>{"audit.missing", "audit.written-missing"}));
  EXPECT_THAT(found.problems[0].text(), HasSubstr("producer 3 frames 5 to 8"));
  EXPECT_THAT(found.problems[1].text(), HasSubstr("4 frames"));
}

TEST_F(AuditTest, FramesThatTheBooksCountAsDroppedAreExplainedAndNamed) {
  finish(0, 4);
  finish(8, 8);
  accounting(11, {{"written", 6}, {"dropped_oldest", 4}, {"failed_quarantined", 1}}, {{3, 11}});
  const auto found = audit();
  EXPECT_TRUE(found.proved()) << found.problems[0].text();
  EXPECT_EQ(found.instances[0].without_end, (std::vector<FrameSpan>{{3, 5, 7}, {3, 9, 10}}));
  EXPECT_EQ(found.instances[0].counted, 5U);
  EXPECT_EQ(found.instances[0].missing, 0U);
}

TEST_F(AuditTest, LastFramesOfAProducerThatNobodyKnowsByNameAreCounted) {
  finish(0, 4);
  accounting(7, {{"written", 5}});
  const auto found = audit();
  EXPECT_EQ(found.instances[0].nameless, 2U);
  EXPECT_EQ(found.instances[0].missing, 2U);
  EXPECT_THAT(found.problems[0].text(), HasSubstr("2 whose name is not known"));
}

TEST_F(AuditTest, FramesOnTheirWayAreNoProofYet) {
  finish(0, 4);
  accounting(7, {{"written", 5}, {"in_flight", 2}}, {{3, 7}});
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.in-flight"});
  enter(FrameEnd::filtered, 3, 5, 2);
  accounting(7, {{"written", 5}, {"filtered", 2}}, {{3, 7}});
  EXPECT_TRUE(audit().proved()) << "the last counters count";
}

// A detector that goes on sending after the stop.
TEST_F(AuditTest, FramesThatWaitForTheNextRunAreNoReasonAgainstTheProofOfThoseThatEnded) {
  finish(0, 1);
  accounting(6, {{"written", 2}, {"in_flight", 4}, {"waiting", 4}}, {{3, 6}});
  const Audit proof = audit();
  EXPECT_TRUE(proof.proved()) << proof.problems.front().text();
  EXPECT_EQ(ids(proof.notes), std::vector<std::string>{"audit.waiting"});
  EXPECT_EQ(proof.instances.front().waiting, 4U);
  EXPECT_EQ(proof.instances.front().missing, 0U);
}

TEST_F(AuditTest, OfFramesOnTheirWayOnlyThoseThatWaitForARunAreExcused) {
  finish(0, 4);
  accounting(7, {{"written", 5}, {"in_flight", 2}, {"waiting", 1}}, {{3, 7}});
  EXPECT_EQ(ids(audit().problems).back(), "audit.in-flight");
}

TEST_F(AuditTest, TheLastBooksCountEvenIfTheClockWasSetBackBeforeThem) {
  finish(0, 4);
  now_ = 5'000'000'000;
  accounting(5, {{"written", 3}, {"in_flight", 2}}, {{3, 5}});
  now_ = 0;
  accounting(5, {{"written", 5}, {"in_flight", 0}}, {{3, 5}});
  EXPECT_TRUE(audit().proved()) << "the copy that the clock calls older has the later numbers";
}

TEST_F(AuditTest, WithoutBooksThereIsNoProof) {
  finish(0, 4);
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.no-books"});
  accounting(5, {{"written", 5}}, {}, false);
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.no-books"}) << "not settled";
}

TEST_F(AuditTest, AFrameInTwoFilesIsNamedWithBoth) {
  finish(0, 4);
  finish(4, 5);
  accounting(6, {{"written", 6}});
  const auto found = audit();
  EXPECT_EQ(ids(found.problems), std::vector<std::string>{"audit.twice"});
  EXPECT_THAT(found.problems[0].text(), HasSubstr("run 0217 producer 3 frame 4"));
  EXPECT_THAT(found.problems[0].text(), HasSubstr("chunk0001.cxi"));
}

TEST_F(AuditTest, TwoBooksMayNameTheSameEnd) {
  enter(FrameEnd::filtered, 3, 0, 3);
  OutcomeLog other(folder_.path(), "q",
                   {"sample", 77, 5, 1});  // the next writer, which got a frame of the dead one again
  must(other.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 2, 2}}));
  accounting(4, {{"filtered", 4}}, {{3, 4}});
  const auto found = audit();
  EXPECT_TRUE(found.proved()) << found.problems[0].text();
  EXPECT_EQ(found.instances[0].ended.at("filtered"), 4U);
}

TEST_F(AuditTest, EventsOfAnUnfinishedFileAreNotLostAndNotDone) {
  const auto path = folder_.path() / "p_run0217_20261121_101500_000000_w4_chunk0009.cxi";
  test::leave_orphan(path, test::sample_facts(), 3);
  accounting(3, {{"written", 3}}, {{3, 3}});
  const auto found = audit();
  EXPECT_EQ(ids(found.problems), std::vector<std::string>{"audit.unfinished"});
  EXPECT_EQ(found.instances[0].unfinished, 3U);
  EXPECT_EQ(found.instances[0].missing, 0U);
}

TEST_F(AuditTest, AFlippedBitOfAnImageIsFoundAndNamed) {
  const auto path = finish(0, 4);
  accounting(5, {{"written", 5}});
  ASSERT_TRUE(audit().proved());
  auto bytes = test::read_all(path);
  const auto image = test::sample_image(2, test::sample_facts());
  const auto at = std::search(bytes.begin(), bytes.end(), image.begin(), image.end());
  ASSERT_NE(at, bytes.end());
  at[100] ^= std::byte{1};
  test::write_all(path, bytes);
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.damaged-image"});
  EXPECT_THAT(audit().problems[0].text(), HasSubstr("frame 2 (event 2 of"));
  EXPECT_TRUE(must(audit_folders({folder_.path()}, false)).proved())
      << "images are not read when that is not asked for";
}

TEST_F(AuditTest, ATruncatedFileIsNotReadableAndItsEventsAreMissing) {
  const auto path = finish(0, 4);
  accounting(5, {{"written", 5}}, {{3, 5}});
  const auto bytes = test::read_all(path);
  test::write_all(path, std::span(bytes).first(bytes.size() / 2));
  const auto found = audit();
  EXPECT_EQ(ids(found.problems),
            (std::vector<std::string>{"audit.not-readable", "audit.missing", "audit.written-missing"}));
}

TEST_F(AuditTest, EventsThatARecoveryCouldNotReadAreAProblem) {
  finish(0, 4, {{}, true, 2});
  accounting(5, {{"written", 5}});
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.events-lost"});
}

TEST_F(AuditTest, InstancesAndFoldersAreTakenApartAndTogether) {
  test::TempFolder elsewhere;
  const auto moved = finish(0, 4);
  finish(5, 6);
  accounting(7, {{"written", 7}}, {{3, 7}});
  OutcomeLog other(folder_.path(), "q", {"other", 78, 4, 1});
  must(other.append(AccountingSnapshot{5, true, {{"committed", 1}, {"filtered", 1}}, {{3, 1}}}));
  must(other.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 0, 1}}));
  EXPECT_TRUE(audit().proved());
  EXPECT_TRUE(must(audit_folders({folder_.path(), folder_.path() / "."})).proved()) << "named twice, looked at once";
  EXPECT_EQ(audit().instances.size(), 2U);
  std::filesystem::rename(moved, elsewhere.path() / moved.filename());
  EXPECT_FALSE(audit().proved());
  EXPECT_TRUE(must(audit_folders({folder_.path(), elsewhere.path()})).proved());
}

TEST_F(AuditTest, AFolderWithNothingOfOursProvesNothing) {
  EXPECT_EQ(ids(audit().problems), std::vector<std::string>{"audit.nothing"});
  std::ofstream(folder_.path() / "other.cxi") << "no HDF5";
  EXPECT_FALSE(audit().proved());
  EXPECT_EQ(audit_folders({folder_.path() / "gone"}).error().id, "output.folder-missing");
}

// The time of the sample's event of that number, as a sender writes it.
std::uint64_t time_of(std::uint64_t number) { return std::uint64_t{1'790'000'000} << 32 | number; }

class SentTest : public AuditTest {
 protected:
  std::filesystem::path ledger(const std::string& text) {
    const auto path = ledgers_.path() / std::to_string(++ledgers_written_);
    std::ofstream(path) << text;
    return path;
  }
  std::filesystem::path ledger(std::uint64_t first, std::uint64_t last) {
    std::string text = "# rank 0 of 1\n\n";
    for (std::uint64_t i = first; i <= last; ++i) text += std::to_string(time_of(i)) + "  # sent\n";
    return ledger(text);
  }
  Audit audit_of(const std::vector<std::filesystem::path>& ledgers, SentBy by = SentBy::time) const {
    const SentEvents sent = must(read_sent_events(ledgers, by));
    return must(audit_folders({folder_.path()}, true, nullptr, &sent));
  }

  test::TempFolder ledgers_;
  int ledgers_written_ = 0;
};

TEST_F(SentTest, EveryEventOfTheLedgersInOneFileIsProved) {
  finish(0, 4);
  finish(5, 9);
  accounting(10, {{"written", 10}});
  const auto found = audit_of({ledger(0, 6), ledger(5, 9)});
  EXPECT_TRUE(found.proved()) << found.problems[0].text();
  ASSERT_TRUE(found.sent);
  EXPECT_EQ(found.sent->sent, 10U);
  EXPECT_EQ(found.sent->in_one_file, 10U);
  EXPECT_EQ(ids(found.notes), std::vector<std::string>{});
}

TEST_F(SentTest, AnEventThatNoNodeHasHadIsNamedThoughEveryFrameIsInAFile) {
  finish(0, 4);
  accounting(5, {{"written", 5}});
  EXPECT_TRUE(audit().proved());
  const auto found = audit_of({ledger(0, 6)});
  EXPECT_EQ(ids(found.problems), std::vector<std::string>{"audit.not-arrived"});
  EXPECT_THAT(found.problems[0].text(), HasSubstr(std::to_string(time_of(5)) + ", " + std::to_string(time_of(6))));
  EXPECT_EQ(found.sent->in_none, (std::vector<std::uint64_t>{time_of(5), time_of(6)}));
  EXPECT_EQ(found.sent->not_arrived(), 2U);
}

TEST_F(SentTest, EventsInNoFileMayBeFramesThatWereFiltered) {
  finish(0, 4);
  enter(FrameEnd::filtered, 3, 5, 3);
  accounting(8, {{"written", 5}, {"filtered", 3}});
  EXPECT_TRUE(audit_of({ledger(0, 7)}).proved());
  const auto found = audit_of({ledger(0, 8)});
  EXPECT_EQ(ids(found.problems), std::vector<std::string>{"audit.not-arrived"});
  EXPECT_THAT(found.problems[0].text(),
              HasSubstr("nodes have 3 frames that are in none, so at least 1 came to no node"));
}

TEST_F(SentTest, AnEventThatWasSentAgainIsInTwoFilesAsTwoFrames) {
  finish(0, 4);
  finish(3, 3);  // the sample's event has the same time
  accounting(5, {{"written", 5}});
  const auto found = audit_of({ledger(0, 4)});
  EXPECT_THAT(ids(found.problems), testing::Contains("audit.sent-twice"));
  EXPECT_EQ(found.sent->in_several, std::vector<std::uint64_t>{time_of(3)});
  EXPECT_EQ(found.sent->in_one_file, 4U);
}

TEST_F(SentTest, EventsOfALedgerThatWasNotNamedAreANote) {
  finish(0, 4);
  accounting(5, {{"written", 5}});
  const auto found = audit_of({ledger(1, 3)});
  EXPECT_TRUE(found.proved());
  EXPECT_EQ(ids(found.notes), std::vector<std::string>{"audit.not-in-ledgers"});
  EXPECT_EQ(found.sent->not_in_ledgers, 2U);
}

TEST_F(SentTest, EventsAreNamedByTheirEventIdWhereThatIsAsked) {
  finish(0, 2);
  accounting(3, {{"written", 3}});
  EXPECT_TRUE(audit_of({ledger("1000\n1001\n1002\n")}, SentBy::event_id).proved());
  EXPECT_FALSE(audit_of({ledger("1000\n1001\n1003\n")}, SentBy::event_id).proved());
}

TEST_F(SentTest, ALedgerThatIsNoneIsRefusedWithItsLine) {
  for (const std::string text : {"12\nthirteen\n", "12\n-13\n", "12\n13 14\n", "12\n99999999999999999999\n"}) {
    const auto read = read_sent_events({ledger(text)}, SentBy::time);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().id, "audit.ledger");
    EXPECT_THAT(read.error().what, HasSubstr("line 2 of "));
  }
  EXPECT_EQ(read_sent_events({ledger("# nothing\n")}, SentBy::time).error().id, "audit.ledger");
  EXPECT_EQ(read_sent_events({ledgers_.path()}, SentBy::time).error().id, "output.disk-error");
  EXPECT_EQ(read_sent_events({ledgers_.path() / "gone"}, SentBy::time).error().id, "output.folder-missing");
}

}  // namespace
}  // namespace peaknet::writer
