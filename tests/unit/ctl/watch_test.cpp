#include "ctl/watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/render.hpp"
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
            {"dropped", {{"oldest", dropped}, {"purged", 0}}},
            {"failed", {{"model", 1}}}}},
          {"queues", {{"q1", 32}, {"q2", 16}}},
          {"pool", {{"slots", 64}}},
          {"latency_us", {{"total", {{"p50", 38000}, {"p99", 71000}}}}}};
}

TEST(Watch, a_row_is_what_changed_in_a_second) {
  json before = document(1000, 3);
  before["lifetime"]["inferred"] = 400;
  before["lifetime"]["filtered"] = 100;
  EXPECT_EQ(
      watch_header() + watch_row(before, document(2000, 328), 2.0),
      "TIME          IN/s     DEV/s     OUT/s   Q1%   Q2%   INFL    p50 ms    p99 ms    DROP/s    FAIL/s  STATE\n"
      "14:21:03     500.0     250.0     100.0    50    25     48      38.0      71.0     162.5       0.0  running\n");
}

TEST(Watch, an_odd_document_is_no_reason_to_stop) {
  EXPECT_THAT(watch_row(json::object(), json{{"lifetime", 5}, {"pool", nullptr}}, 0), HasSubstr("  -\n"));
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
