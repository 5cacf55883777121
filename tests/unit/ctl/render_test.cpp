#include "ctl/render.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json frames() {
  return {{"committed", 18233401},
          {"inferred", 18233100},
          {"written", 18233002},
          {"filtered", 0},
          {"dropped", {{"oldest", 325}, {"purged", 0}}},
          {"failed", {{"model", 0}, {"descriptor", 0}, {"quarantined", 1}, {"mask", 0}}},
          {"refused", {{"pool_full", 7}, {"producer_died", 1}}},
          {"in_flight", 73},
          {"imbalance", 0},
          {"settled", true}};
}

TEST(RenderStatus, is_what_an_operator_reads_at_three_in_the_morning) {
  const json document = {
      {"instance", "mfx"},
      {"state", "running"},
      {"state_since", "2026-03-01T14:02:11.000Z"},
      {"daemon", {{"version", "0.1.0"}, {"host", "drp-012"}, {"pid", 21877}, {"uptime_s", 274320.0}}},
      {"run", {{"id", "0217"}}},
      {"failure", ""},
      {"health",
       {{"state", "degraded"}, {"reasons", {{{"what", "325 frames were dropped"}, {"remedy", "peaknetctl stats"}}}}}},
      {"model", {{"path", "contrast.pt"}, {"sha256", "9f3c"}}},
      {"pool", {{"slots", 64}, {"dtype", "uint16"}, {"shape", {1, 512, 512}}, {"epoch", 1}, {"full", "block"}}},
      {"queues", {{"q1", 24}, {"devices", 16}, {"q2", 3}, {"writers", 30}}},
      {"devices",
       {{{"name", "cuda:0"},
         {"state", "ready"},
         {"depth", 3},
         {"batch", 8},
         {"in_flight", 16},
         {"frames", 18233100},
         {"error", ""}}}},
      {"writers", {{{"label", "peaknet-writer"}, {"pid", 21920}, {"held", 30}, {"file", "run0217_0444.cxi"}}}},
      {"frames", frames()},
      {"rates", {{"committed_per_s", 1000.04}, {"inferred_per_s", 999.96}, {"written_per_s", 998.0}}},
      {"producers", 3}};
  EXPECT_EQ(render_status(document), R"(peaknetd 0.1.0  instance mfx  host drp-012  pid 21877  up 3d 04:12:00
state   RUNNING since 2026-03-01T14:02:11.000Z   run 0217
health  DEGRADED: 325 frames were dropped   try: peaknetctl stats
model   contrast.pt   sha256 9f3c
pool    64 slots of uint16 [1,512,512], epoch 1, when full: block

WHERE    FRAMES  OF  USED        MEANING
q1           24  64  ####......  wait for a device
devices      16  64  ###.......  in a device
q2            3  64  #.........  wait for a writer
writers      30  64  #####.....  until they are on the disk

DEVICE  STATE  DEPTH  BATCH  IN FLIGHT      FRAMES  ERROR
cuda:0  ready      3      8         16  18 233 100  -

WRITER            PID  HELD  FILE
peaknet-writer  21920    30  run0217_0444.cxi

frames  committed 18 233 401   inferred 18 233 100   written 18 233 002   filtered 0   in flight 73
        dropped 325 (oldest 325)   failed 1 (quarantined 1)   balance OK
rates   in 1000.0/s   inferred 1000.0/s   written 998.0/s   producers 3
)");
}

TEST(RenderStats, shows_latencies_in_readable_units) {
  json document = {
      {"run", "0217"}, {"state", "running"}, {"frames", frames()}, {"messages_lost", 2}, {"pixels_not_finite", 12345}};
  document["latency_us"]["total"] = {
      {"p50", 950}, {"p95", 12'345}, {"p99", 71'000}, {"max", 2'100'000}, {"count", 1000}};
  const std::string text = render_stats(document);
  EXPECT_THAT(text, HasSubstr("total    950 us  12.3 ms  71.0 ms  2.1 s   1 000\n"));
  EXPECT_THAT(text, HasSubstr("refused pool full 7   producer died 1   messages lost 2\n"));
  EXPECT_THAT(text, HasSubstr("pixels not finite 12 345\n"));
}

TEST(RenderFrames, say_when_the_books_are_broken_or_did_not_settle) {
  json reply = {{"run", "1"}, {"state", "idle"}, {"took_ms", 10}, {"frames", frames()}};
  reply["frames"]["imbalance"] = -2;
  EXPECT_THAT(render_stop(reply), HasSubstr("balance BROKEN, -2 frames unaccounted for"));
  reply["frames"]["settled"] = false;
  EXPECT_THAT(render_stop(reply), HasSubstr("balance unsettled"));
}

TEST(Render, documents_of_another_shape_are_shown_as_far_as_they_go) {
  for (const json& odd :
       {json(nullptr), json::array(), json(3), json{{"frames", 3}, {"pool", json::array()}, {"devices", {1, 2}}},
        json{{"run", {{"id", 5}}}, {"daemon", "x"}, {"writers", {{"a", "b"}}}, {"file_bytes", -1e300}}}) {
    EXPECT_FALSE(render_status(odd).empty());
    EXPECT_FALSE(render_stats(odd).empty());
    EXPECT_FALSE(render_start(odd).empty());
    EXPECT_FALSE(render_stop(odd).empty());
    EXPECT_FALSE(render_rebuffer(odd).empty());
    EXPECT_FALSE(render_version(odd).empty());
  }
}

TEST(Render, control_characters_of_others_do_not_reach_the_terminal) {
  const json document = {{"failure", "bad\x1b[2Jnews\n"}};
  EXPECT_THAT(render_status(document), Not(HasSubstr("\x1b")));
  EXPECT_THAT(render_status(document), HasSubstr("bad?[2Jnews?"));
}

}  // namespace
}  // namespace peaknet::ctl
