#include "daemon/supervisor/rates.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/history.hpp"
#include "shm/clock.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::supervisor {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Rates, what_the_books_gained_in_a_second_is_a_row_of_the_history_for_every_tool) {
  const test::TestInstance instance;
  const std::int64_t begin = shm::realtime_ns() - 60 * kSecond;
  shm::FrameAccounting accounting;
  const auto at = [&](shm::Counter counter) -> std::uint64_t& {
    return accounting.totals[static_cast<std::size_t>(counter)];
  };
  Rates rates;
  rates.update(instance.layout(), accounting, {10 * kSecond, begin});
  at(shm::Counter::committed) = 30;
  at(shm::Counter::written) = 6;
  at(shm::Counter::filtered) = 18;
  at(shm::Counter::dropped_oldest) = 1;
  at(shm::Counter::dropped_shed) = 2;
  rates.update(instance.layout(), accounting, {13 * kSecond, begin + 3 * kSecond});
  EXPECT_DOUBLE_EQ(instance.layout().daemon.committed_per_s.load(), 10);

  const auto document = control::history_document(instance.control_segment());
  ASSERT_EQ(document["seconds"].size(), 1U);
  const auto& row = document["seconds"][0];
  const std::vector<std::string> columns = document["columns"];
  const auto value = [&](const std::string& name) {
    return row.at(static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin()))
        .get<std::int64_t>();
  };
  EXPECT_EQ(value("time"), (begin + 3 * kSecond) / kSecond);
  EXPECT_EQ(value("span_ms"), 3000);
  EXPECT_EQ(value("committed"), 30);
  EXPECT_EQ(value("written"), 6);
  EXPECT_EQ(value("filtered"), 18);
  EXPECT_EQ(value("dropped"), 3);
  EXPECT_EQ(document["minutes"].size(), 1U);
  EXPECT_EQ(control::latest_history(instance.control_segment(), 5).size(), 0U) << "it is a minute old";
}

TEST(Rates, the_first_look_of_a_daemon_claims_nothing_that_happened_without_it) {
  const test::TestInstance instance;
  shm::FrameAccounting accounting;
  accounting.totals[static_cast<std::size_t>(shm::Counter::committed)] = 1'000'000;
  Rates rates;
  rates.update(instance.layout(), accounting, {kSecond, shm::realtime_ns()});
  EXPECT_EQ(control::history_document(instance.control_segment())["seconds"].size(), 0U);
  EXPECT_DOUBLE_EQ(instance.layout().daemon.committed_per_s.load(), 0);
}

}  // namespace
}  // namespace peaknet::supervisor
