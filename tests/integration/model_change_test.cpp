// Another model while frames flow, and models that must be refused, through peaknetctl and the real programs.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/system.hpp"
#if PEAKNET_TEST_TORCH
#include <torch/version.h>

#include "tests/unit/daemon/model/package_maker.hpp"
#endif

namespace peaknet::test {
namespace {

namespace fs = std::filesystem;

TEST(ModelChange, ResultsAreInFilesThatNameTheModelThatMadeThem) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  system.start_writer();
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", "400", "--hit-fraction", "1", "--rate", "400"});
  const std::vector<std::string> models = {"builtin:threshold=151", "builtin:threshold=152", "builtin:threshold=151"};
  for (const auto& model : models) {
    const auto reply = system.ctl_json({"model", "load", model});
    EXPECT_EQ(reply.at("after").at("path"), model) << reply.dump();
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
  EXPECT_EQ(system.stats().at("frames").at("committed"), 420);

  const auto events = system.events_in_files();
  std::map<std::string, int> of_model;
  for (const auto& event : events) ++of_model[event.model];
  EXPECT_EQ(static_cast<int>(events.size()), system.stats().at("frames").at("written").get<int>());
  EXPECT_GE(of_model["builtin:threshold=151"], 20) << "at least those after the last change";
  for (const auto& [model, count] : of_model) EXPECT_TRUE(model.starts_with("builtin:threshold=15")) << model;
  const auto shown = system.ctl_json({"model", "show"});
  EXPECT_EQ(shown.at("path"), "builtin:threshold=151");
  EXPECT_EQ(shown.at("number"), 2) << "the same model has the same number again";
  EXPECT_EQ(shown.at("golden"), "none");
}

// Refused, with that error, and the daemon goes on with what it had.
void expect_refused(const System& system, const std::string& path, const std::string& id, const std::string& named) {
  const auto before = system.ctl_json({"model", "show"}).at("path");
  auto refused = system.ctl({"model", "load", path});
  EXPECT_EQ(refused.wait(), Exit::code(1)) << path;
  EXPECT_NE(refused.err().find("[" + id + "]"), std::string::npos) << refused.err();
  EXPECT_NE(refused.err().find(named), std::string::npos) << refused.err();
  EXPECT_EQ(system.ctl_json({"model", "show"}).at("path"), before);
  EXPECT_EQ(system.stats().at("state"), "running");
  const auto inferred = system.stats().at("frames").at("inferred").get<int>();
  ASSERT_EQ(system.feed({"simulate", "--frames", "10"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"wait", "--for", "drained"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("inferred").get<int>(), inferred + 10) << "the old model works";
}

TEST(ModelChange, WhatMayNotBeLoadedIsRefusedWithTheReasonAndTheOldModelGoesOn) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  system.start_writer();
  expect_refused(system, "builtin:nothing", "model.unknown-builtin", "builtin:nothing");
  expect_refused(system, (system.folder() / "missing.pt").string(), "model.missing", "missing.pt");
  const auto open = system.folder() / "open.pt";
  std::ofstream(open) << "x";
  fs::permissions(open, fs::perms{0666});
  expect_refused(system, open.string(), "model.unsafe", "may be written by everybody");
}

#if PEAKNET_TEST_TORCH
TEST(ModelChange, DamagedForeignAndMisshapenModelsAreRefusedAndAGoodPackageIsTaken) {
  System system({.model = std::string(PEAKNET_SOURCE) + "/models/contrast.pt"});
  ::setenv("XDG_CACHE_HOME", (system.folder() / "cache").c_str(), 1);
  system.start_daemon();
  system.start_writer();
  const auto in = [&](const char* name) { return (system.folder() / name).string(); };

  const std::string whole = read_file(std::string(PEAKNET_SOURCE) + "/models/contrast.pt");
  std::ofstream(in("cut.pt"), std::ios::binary) << whole.substr(0, whole.size() / 2);
  fs::permissions(in("cut.pt"), fs::perms{0644});
  expect_refused(system, in("cut.pt"), "model.unreadable", "cut.pt");

  const auto package = [&](const char* name, int height, int width,
                           const std::function<void(nlohmann::json&)>& change) {
    std::map<std::string, nlohmann::json> networks;
    for (const int rows : {1, 2, 4}) {
      auto metadata = good_metadata(rows, height, width, TORCH_VERSION);
      change(metadata);
      networks["rows_" + std::to_string(rows)] = metadata;
    }
    write_package(in(name), PEAKNET_STAND_IN, networks);
    return in(name);
  };
  const auto as_it_is = [](nlohmann::json&) {};
  expect_refused(system, package("small.pt2", 64, 64, as_it_is), "model.failed", "takes (rows,1,64,64)");
  expect_refused(system, package("classes.pt2", 128, 128, [](auto& m) { m["peaknet.classes"] = "5"; }),
                 "model.bad-output", "2 classes, the package says 5");
  expect_refused(system, package("cuda.pt2", 128, 128, [](auto& m) { m["peaknet.device"] = "cuda"; }),
                 "model.wrong-device", "compiled for cuda");
  expect_refused(system, package("isa.pt2", 128, 128, [](auto& m) { m["peaknet.isa"] = "avx9000"; }),
                 "model.wrong-device", "avx9000");
  expect_refused(system, package("torch.pt2", 128, 128, [](auto& m) { m["peaknet.torch"] = "1.2.3"; }),
                 "model.wrong-device", "1.2.3");

  const auto reply = system.ctl_json({"model", "load", package("good.pt2", 128, 128, as_it_is)});
  EXPECT_EQ(reply.at("after").at("kind"), "package") << reply.dump();
  EXPECT_EQ(reply.at("after").at("rows"), "1, 2, 4");
  EXPECT_EQ(reply.at("before").at("path"), std::string(PEAKNET_SOURCE) + "/models/contrast.pt");
  ASSERT_EQ(system.feed({"simulate", "--frames", "30"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
  EXPECT_EQ(system.stats().at("frames").at("failed").at("model"), 0);
}
#endif

}  // namespace
}  // namespace peaknet::test
