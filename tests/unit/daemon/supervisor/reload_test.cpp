#include "daemon/supervisor/reload.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace peaknet::supervisor {
namespace {

TEST(Reload, nothing_changed_is_nothing_to_do) {
  EXPECT_TRUE(plan_reload({}, {}, 8).empty());
  EXPECT_EQ(reload_reply({}),
            (nlohmann::json{{"changed", nlohmann::json::array()}, {"restart", nlohmann::json::array()}}));
}

TEST(Reload, each_key_takes_effect_or_names_the_program_to_start_again) {
  const config::Config old;
  config::Config fresh = old;
  fresh.log.level = "debug";
  fresh.engine.depth = 5;
  fresh.engine.batch = old.engine.batch - 1;
  fresh.pool.slots = 7;
  fresh.peaks.min_num_peak = 3;
  fresh.output.dir = "elsewhere";
  fresh.feed.idle_seconds = 4;
  std::vector<std::string> told;
  for (const auto& change : plan_reload(old, fresh, old.engine.batch))
    told.push_back(change.key + ":" + change.restart);
  EXPECT_EQ(told, (std::vector<std::string>{
                      "pool.slots:peaknetd", "engine.depth:", "engine.batch:", "peaks.min_num_peak:peaknet-writer",
                      "output.dir:peaknet-writer", "feed.idle_seconds:peaknet-feed", "log.level:"}));
}

TEST(Reload, a_batch_beyond_what_was_reserved_needs_a_restart) {
  const config::Config old;
  config::Config fresh = old;
  fresh.engine.batch = old.engine.batch + 1;
  ASSERT_EQ(plan_reload(old, fresh, old.engine.batch).size(), 1U);
  EXPECT_EQ(plan_reload(old, fresh, old.engine.batch)[0].restart, "peaknetd");
}

}  // namespace
}  // namespace peaknet::supervisor
