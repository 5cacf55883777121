#include "shm/errors.hpp"

#include <gtest/gtest.h>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using test::TestInstance;

Error error(const std::string& id, const std::string& what) { return {id, what, "", ""}; }

TEST(Errors, are_counted_by_kind_with_the_last_text_over_all_participants) {
  TestInstance instance;
  auto one = instance.producer();
  auto two = instance.producer();
  one->participant().record_error(error("a.b", "first"));
  two->participant().record_error(error("c.d", "other"));
  two->participant().record_error(error("a.b", "second"));
  const auto errors = read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_EQ(errors[0].id, "a.b");
  EXPECT_EQ(errors[0].count, 2U);
  EXPECT_EQ(errors[0].text, error("a.b", "second").text());
  EXPECT_LE(errors[0].first_ns, errors[0].last_ns);
  EXPECT_EQ(errors[1].id, "c.d");
}

TEST(Errors, outlive_who_met_them_and_the_next_holder_of_the_id) {
  TestInstance instance;
  instance.producer()->participant().record_error(error("a.b", "first"));
  EXPECT_EQ(read_errors(instance.control_segment()).at(0).count, 1U);
  instance.producer()->participant().record_error(error("a.b", "again"));
  EXPECT_EQ(read_errors(instance.control_segment()).at(0).count, 2U);
}

TEST(Errors, one_kind_more_takes_the_place_of_the_oldest) {
  TestInstance instance;
  auto producer = instance.producer();
  for (std::size_t kind = 0; kind < kErrorKinds; ++kind)
    producer->participant().record_error(error("kind." + std::to_string(kind), ""));
  producer->participant().record_error(error("kind.0", "once more"));
  producer->participant().record_error(error("kind.new", ""));
  const auto errors = read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), kErrorKinds);
  EXPECT_EQ(errors[0].id, "kind.new");
  EXPECT_EQ(errors[1].id, "kind.0");
  for (const auto& kind : errors) EXPECT_NE(kind.id, "kind.1");
}

TEST(Errors, a_full_pool_is_one_of_them) {
  TestInstance instance;
  auto producer = instance.producer(FullPolicy::drop_newest);
  std::vector<Frame> held;
  while (auto frame = producer->claim(std::chrono::seconds(1))) held.push_back(std::move(*frame));
  const auto errors = read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].id, "pool.full");
}

TEST(Errors, of_a_text_that_is_too_long_the_remedy_stays_whole) {
  TestInstance instance;
  auto producer = instance.producer();
  const std::string remedy = "see peaknetctl status: is peaknetd running and a writer attached?";
  std::string what;
  while (what.size() < 600) what += "many words ";
  producer->participant().record_error({"a.long", what, "what is left as it was", remedy});
  producer->participant().record_error({"b.both", what, "", what});
  producer->participant().record_error({"c.word", std::string(600, 'x'), "", ""});
  const auto errors = read_errors(instance.control_segment());
  for (const auto& kind : errors) EXPECT_LT(kind.text.size(), kErrorTextBytes);
  EXPECT_TRUE(errors.at(2).text.ends_with("words .... Try: " + remedy)) << errors.at(2).text;
  EXPECT_TRUE(errors.at(1).text.ends_with(" ...")) << errors.at(1).text;
}

TEST(Errors, the_last_text_is_the_latest_one_whoever_wrote_it) {
  TestInstance instance;
  auto one = instance.producer();
  auto two = instance.producer();
  two->participant().record_error(error("a.b", "earlier"));
  one->participant().record_error(error("a.b", "later"));
  const auto errors = read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].text, error("a.b", "later").text());
  EXPECT_EQ(errors[0].count, 2U);
}

TEST(Errors, a_page_that_somebody_wrote_over_is_no_error_of_nobody) {
  TestInstance instance;
  auto producer = instance.producer();
  producer->participant().record().errors[0].count.store(7);
  EXPECT_TRUE(read_errors(instance.control_segment()).empty());
}

}  // namespace
}  // namespace peaknet::shm
