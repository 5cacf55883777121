#include "ctl/render.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/columns.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json frames() {
  return {{"committed", 18233401},
          {"inferred", 18233100},
          {"written", 18233002},
          {"filtered", 0},
          {"dropped", {{"oldest", 325}, {"shed", 0}}},
          {"failed", {{"model", 0}, {"descriptor", 0}, {"quarantined", 1}, {"mask", 0}}},
          {"refused", {{"pool_full", 7}, {"producer_died", 1}}},
          {"in_flight", 73},
          {"imbalance", 0},
          {"settled", true}};
}

json status() {
  return {
      {"instance", "mfx"},
      {"state", "running"},
      {"state_since", "2026-03-01T14:02:11.000Z"},
      {"daemon", {{"version", "0.1.0"}, {"host", "drp-012"}, {"pid", 21877}, {"uptime_s", 274320.0}}},
      {"run", {{"id", "0217"}}},
      {"failure", ""},
      {"health",
       {{"state", "degraded"}, {"reasons", {{{"what", "325 frames were dropped"}, {"remedy", "peaknetctl stats"}}}}}},
      {"model", {{"path", "contrast.pt"}, {"sha256", std::string(64, 'a')}}},
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
      {"writers",
       {{{"label", "peaknet-writer"},
         {"pid", 21920},
         {"held", 30},
         {"output_free_bytes", 1'319'413'953'331},
         {"file", "mfx_run0217_20260301_140211_147069_w3_chunk0444.cxi"}}}},
      {"frames", frames()},
      {"rates",
       {{"committed_per_s", 1000.04}, {"inferred_per_s", 999.96}, {"written_per_s", 583.0}, {"filtered_per_s", 417.0}}},
      {"producers", 3}};
}

json stats() {
  json document = status();
  document["run"] = "0217";
  document["time"] = "2026-03-01T14:21:03.250Z";
  document["peaks"] = 1234567;
  document["files"] = 44;
  document["file_bytes"] = 12'345'678'901;
  for (const char* stage : {"q1_wait", "infer", "q2_wait", "write", "total"})
    document["latency_us"][stage] = {
        {"p50", 950}, {"p95", 12'345}, {"p99", 71'000}, {"max", 2'100'000}, {"count", 1000}};
  document["devices"][0].update(
      {{"batches", 2279137}, {"padded_rows", 12}, {"model_errors", 0}, {"h2d_mode", "registered"}});
  document["writers"][0].update({{"number", 3}, {"uid", 990}, {"written", 18233002}, {"filtered", 12}, {"files", 44}});
  document["writers"][0]["note"] = document["writers"][0]["file"];
  document["producers"] = {{{"label", "my detector"},
                            {"number", 5},
                            {"pid", 4906},
                            {"uid", 0},
                            {"committed", 33},
                            {"refused", 7},
                            {"blocked_ns", 2'500'000'000},
                            {"since", "2026-03-01T14:02:11.000Z"}}};
  return document;
}

TEST(RenderStatus, is_what_an_operator_reads_at_three_in_the_morning) {
  EXPECT_EQ(render_status(status(), 80), R"(peaknetd 0.1.0   instance mfx   host drp-012   pid 21877   up 3d 04:12:00
state    RUNNING since 2026-03-01 14:02:11 UTC   run 0217
health   DEGRADED: 325 frames were dropped
         try: peaknetctl stats
model    contrast.pt
pool     64 slots of uint16 [1,512,512]   epoch 1   when full: block

WHERE    FRAMES  OF  USED                  MEANING
q1           24  64  ########............  waiting for a device
devices      16  64  #####...............  on a device
q2            3  64  #...................  waiting for the writer
writers      30  64  ##########..........  being written to disk

DEVICE  STATE  DEPTH  BATCH  IN FLIGHT      FRAMES
cuda:0  ready      3      8         16  18 233 100

WRITER            PID  HELD  DISK FREE  FILE
peaknet-writer  21920    30   1.20 TiB  mfx_run0217_2026030..69_w3_chunk0444.cxi

frames   committed 18 233 401   inferred 18 233 100   in flight 73
         dropped 325 (oldest 325)   failed 1 (quarantined 1)   balance OK
hits     written 18 233 002   filtered 0 (too few peaks)   hit rate 100.0 %
rates    in 1000.0/s   inferred 1000.0/s   hits written 583.0/s
         filtered 417.0/s
feeding  3 producers
)");
}

TEST(RenderStats, shows_latencies_in_readable_units) {
  json document = stats();
  document["messages_lost"] = 2;
  document["pixels_not_finite"] = 12345;
  const std::string text = render_stats(document, 80);
  EXPECT_THAT(text, HasSubstr("total    950 us  12.3 ms  71.0 ms  2.1 s   1 000\n"));
  EXPECT_THAT(text, HasSubstr("refused  pool full 7   producer died 1\n"));
  EXPECT_THAT(text, HasSubstr("2 messages lost with feeds that died"));
  EXPECT_THAT(text, HasSubstr("12 345 pixels not finite"));
  EXPECT_THAT(text, HasSubstr("2.5 s")) << "how long the producer was held up";
  EXPECT_THAT(render_stats(stats(), 80), Not(HasSubstr("also"))) << "what is 0 is no surprise";
}

TEST(RenderStatus, a_writer_that_waits_says_so_in_words_under_its_row) {
  json document = status();
  document["writers"][0]["file"] = "WAITING FOR DISK: only 396 KiB are free in /data/mfx. Try: make room";
  EXPECT_THAT(render_status(document, 80),
              HasSubstr("\n  WAITING FOR DISK: only 396 KiB are free in /data/mfx. Try: make room\n"));
}

TEST(RenderFrames, say_when_the_books_are_broken_or_did_not_settle) {
  json reply = {{"run", "1"}, {"state", "idle"}, {"took_ms", 10}, {"frames", frames()}};
  reply["frames"]["imbalance"] = -2;
  EXPECT_THAT(render_stop(reply, 80), HasSubstr("balance BROKEN, -2 frames unaccounted for"));
  reply["frames"]["settled"] = false;
  EXPECT_THAT(render_stop(reply, 80), HasSubstr("balance unsettled"));
}

json indexing() {
  return {{"run", "0217"},
          {"age_s", 0.4},
          {"followed", true},
          {"served", 130},
          {"frames", 125},
          {"indexed", 89},
          {"rate", 0.712},
          {"crystals", 93},
          {"nameless", 0},
          {"cell",
           {{"a_nm", {{"mean", 7.912}, {"deviation", 0.0312}}},
            {"b_nm", {{"mean", 7.9}, {"deviation", nullptr}}},
            {"c_nm", nullptr}}}};
}

TEST(RenderStats, shows_the_indexing_where_there_is_one) {
  json document = stats();
  document["indexing"] = nullptr;
  EXPECT_THAT(render_stats(document, 120), Not(HasSubstr("indexed")));
  document["indexing"] = indexing();
  std::string text = render_stats(document, 120);
  EXPECT_THAT(text, AllOf(HasSubstr("indexed  71.2 % (89 of 125 hits)   crystals 93   handed out 130\n"),
                          HasSubstr("cell     a 7.912 +- 0.031   b 7.900   c - nm"), Not(HasSubstr("ago"))));
  document["indexing"]["run"] = "0216";
  document["indexing"]["followed"] = false;
  document["indexing"]["age_s"] = 120;
  document["indexing"]["nameless"] = 12;
  document["indexing"]["served"] = nullptr;
  text = render_stats(document, 200);
  EXPECT_THAT(text, AllOf(HasSubstr("of run 0216"), HasSubstr("as of 0d 00:02:00 ago"), HasSubstr("handed out -"),
                          HasSubstr("12 frames without an id")));
}

TEST(RenderFrames, the_hit_rate_is_that_of_the_frames_a_writer_has_ended) {
  json reply = {{"frames", frames()}};
  reply["frames"]["written"] = 37;
  reply["frames"]["filtered"] = 63;
  EXPECT_THAT(render_stop(reply, 80), HasSubstr("written 37   filtered 63 (too few peaks)   hit rate 37.0 %"));
  reply["frames"]["written"] = reply["frames"]["filtered"] = 0;
  EXPECT_THAT(render_stop(reply, 80), HasSubstr("hit rate -")) << "what is unknown is not 0";
}

// Every text for people, of a document.
std::vector<std::string> all_screens(const json& document, std::size_t width) {
  std::vector<std::string> screens;
  for (const auto render :
       {render_status, render_stats, render_producers, render_writers, render_model, render_health, render_doctor,
        render_errors, render_instances, render_trace, render_start, render_stop, render_rebuffer, render_reload,
        render_model_load, render_view, render_keygen, render_version})
    screens.push_back(render(document, width));
  return screens;
}

// What is longer than the width is one word, which stays whole: a path or a command to be copied.
void expect_to_fit(const json& document, std::size_t width) {
  for (const std::string& screen : all_screens(document, width)) {
    std::istringstream lines(screen);
    for (std::string line; std::getline(lines, line);) {
      const auto begin = line.find_first_not_of(' ');
      if (begin == std::string::npos || line.find(' ', begin) == std::string::npos) continue;
      EXPECT_LE(columns_of(line), width) << line;
    }
  }
}

json findings() {
  json document = stats();
  const std::string sentence = "the folder of the files of this instance is on a disk that is nearly full, only 12 GiB";
  document["reasons"] = {{{"state", "degraded"}, {"what", sentence}, {"remedy", sentence}, {"id", "health.disk"}}};
  document["findings"] = {
      {{"subject", "memory of the control group"}, {"verdict", "bad"}, {"text", sentence}, {"remedy", sentence}}};
  document["errors"] = {{{"id", "output.disk-full"}, {"count", 3}, {"text", sentence}, {"from", "writer"}}};
  document["instances"] = {{{"name", "mfx"}, {"daemon", true}, {"pid", 3}, {"problem", sentence}}};
  return document;
}

TEST(Render, every_screen_fits_the_terminal) {
  for (const std::size_t width : {30U, 40U, 60U, 79U, 80U, 100U, 132U, 160U, 250U}) expect_to_fit(findings(), width);
}

TEST(Render, large_numbers_and_long_names_fit_too) {
  json document = findings();
  for (const char* counter : {"committed", "inferred", "written", "filtered", "in_flight"})
    document["frames"][counter] = 1'000'000'000'000;
  for (const char* cause : {"oldest", "shed"}) document["frames"]["dropped"][cause] = 999'999'999'999;
  document["devices"][0]["frames"] = document["devices"][0]["batches"] = 1'000'000'000'000;
  document["producers"][0]["committed"] = document["producers"][0]["refused"] = 1'000'000'000'000;
  document["producers"][0]["label"] = std::string(64, 'p');
  document["writers"][0]["label"] = std::string(40, '\xff') + "\xe6\xa4\x9c\xe5\x87\xba\xe5\x99\xa8";
  document["writers"][0]["note"] = document["writers"][0]["file"] = std::string(255, 'f');
  document["devices"][0]["error"] = std::string(100, 'e') + " and more of it";
  document["model"]["path"] = "/" + std::string(255, 'm');
  document["run"] = std::string(31, 'r');
  document["instance"] = std::string(31, 'i');
  document["daemon"]["host"] = std::string(255, 'h');
  for (const std::size_t width : {40U, 80U, 160U}) expect_to_fit(document, width);
}

TEST(Render, instances_of_another_version_are_named_together) {
  nlohmann::json document;
  for (int i = 1; i <= 9; ++i) {
    const std::string name = "old" + std::to_string(i);
    document["instances"].push_back({{"name", name}, {"problem", "instance '" + name + "' has layout 1"}});
  }
  document["instances"].push_back({{"name", "mfx"}, {"daemon", true}, {"pid", 3}, {"problem", ""}});
  const std::string screen = render_instances(document, 80);
  EXPECT_THAT(screen, HasSubstr("\nold1, old2, old3 and 6 more: instance NAME has layout 1\n"));
  EXPECT_THAT(screen, HasSubstr("\nold9 "));
}

TEST(Render, wide_terminals_show_more) {
  EXPECT_THAT(render_status(status(), 160), HasSubstr("mfx_run0217_20260301_140211_147069_w3_chunk0444.cxi"));
  EXPECT_THAT(render_producers(stats(), 40), Not(HasSubstr("USER")));
  EXPECT_THAT(render_producers(stats(), 160), AllOf(HasSubstr("USER"), HasSubstr(" root ")));
}

TEST(Render, documents_of_another_shape_are_shown_as_far_as_they_go) {
  for (const json& odd :
       {json(nullptr), json::array(), json(3), json{{"frames", 3}, {"pool", json::array()}, {"devices", {1, 2}}},
        json{{"run", {{"id", 5}}}, {"daemon", "x"}, {"writers", {{"a", "b"}}}, {"file_bytes", -1e300}},
        json{{"frames", {{"committed", -5}, {"dropped", {{"x", -1e300}}}}}, {"rates", {{"committed_per_s", 1e300}}}}}) {
    for (const std::string& screen : all_screens(odd, 80)) EXPECT_FALSE(screen.empty()) << odd;
  }
}

TEST(Render, control_characters_of_others_do_not_reach_the_terminal) {
  const json document = {{"failure", "bad\x1b[2Jnews\n"}};
  EXPECT_THAT(render_status(document, 80), Not(HasSubstr("\x1b")));
  EXPECT_THAT(render_status(document, 80), HasSubstr("bad?[2Jnews?"));
}

}  // namespace
}  // namespace peaknet::ctl
