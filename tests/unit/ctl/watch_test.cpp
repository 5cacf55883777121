#include "ctl/watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/columns.hpp"
#include "ctl/watch_row.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json document(int committed, int dropped) {
  return {{"time", "2026-03-01T14:21:03.250Z"},
          {"state", "running"},
          {"lifetime",
           {{"committed", committed},
            {"inferred", 900},
            {"written", 500},
            {"filtered", 300},
            {"in_flight", 48},
            {"dropped", {{"oldest", dropped}, {"shed", 0}}},
            {"failed", {{"model", 1}}}}},
          {"queues", {{"q1", 32}, {"q2", 16}}},
          {"pool", {{"slots", 64}}},
          {"latency_us", {{"total", {{"p50", 38000}, {"p99", 71000}}}}}};
}

TEST(Watch, a_row_is_what_changed_in_a_second) {
  json before = document(1000, 3);
  before["lifetime"]["inferred"] = 400;
  before["lifetime"]["filtered"] = 100;
  EXPECT_EQ(watch_header(80) + watch_row(before, document(2000, 328), 2.0, 80),
            "    TIME   IN/s  DEV/s  HIT/s FILT/s HIT% Q1% Q2%    P50    P99 LOST/s STATE\n"
            "14:21:03    500    250      0    100    0  50  25 38.0ms 71.0ms  162.5 running\n");
}

TEST(Watch, what_is_written_are_hits_and_what_is_filtered_stands_beside_them) {
  json later = document(1000, 3);
  later["lifetime"]["written"] = 530;
  later["lifetime"]["filtered"] = 370;
  const std::string row = watch_row(document(1000, 3), later, 1.0, 80);
  EXPECT_THAT(row, HasSubstr("     30     70   30 ")) << row;
}

TEST(Watch, narrow_terminals_get_what_matters_most_and_wide_ones_all) {
  const auto header = [](std::size_t width) { return watch_header(width); };
  EXPECT_EQ(header(40), "    TIME   IN/s  HIT/s LOST/s STATE\n");
  EXPECT_THAT(header(160), testing::AllOf(HasSubstr("INFL"), HasSubstr("DROP/s"), HasSubstr("FAIL/s")));
  json huge = document(1000, 3);
  for (const char* counter : {"committed", "inferred", "written", "filtered", "in_flight"})
    huge["lifetime"][counter] = 1'000'000'000'000'000;
  huge["latency_us"]["total"] = {{"p50", 1e12}, {"p99", 1e15}};
  huge["state"] = std::string(200, 's');
  for (std::size_t width = 1; width < 200; ++width) {
    EXPECT_LE(columns_of(header(width)) - 1, width);
    EXPECT_LE(columns_of(watch_row(document(0, 0), huge, 1.0, width)) - 1, width);
  }
}

TEST(Watch, an_odd_document_is_no_reason_to_stop) {
  EXPECT_THAT(watch_row(json::object(), json{{"lifetime", 5}, {"pool", nullptr}}, 0, 80), HasSubstr(" -\n"));
}

TEST(Watch, shows_as_many_rows_as_asked_for_without_a_daemon) {
  test::TestInstance instance;
  Options options;
  options.count = 2;
  options.every = std::chrono::milliseconds(5);
  std::ostringstream out, err;
  EXPECT_EQ(watch(options, instance.name(), out, err), ExitCode::ok) << err.str();
  const std::string shown = out.str();
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 3) << shown;

  options.json = true;
  std::ostringstream lines;
  EXPECT_EQ(watch(options, instance.name(), lines, err), ExitCode::ok);
  std::istringstream rows(lines.str());
  int count = 0;
  for (std::string row; std::getline(rows, row); ++count) EXPECT_EQ(json::parse(row)["schema"], "peaknet.stats/1");
  EXPECT_EQ(count, 2);
}

TEST(Watch, of_an_instance_that_is_not_there_says_so) {
  std::ostringstream out, err;
  EXPECT_EQ(watch({}, "not-there-at-all", out, err), ExitCode::not_running);
  EXPECT_THAT(err.str(), HasSubstr("[shm.absent]"));
}

}  // namespace
}  // namespace peaknet::ctl
