// Another pool while producers and a writer are at work: `rebuffer --slots --shape`.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "shm/producer.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

// A program that brings frames as long as it lives, of whatever shape is asked for now. Each has one bright spot, and
// the number of its pixels as its event id.
class Source {
 public:
  explicit Source(const std::string& instance)
      : thread_([this, instance](std::stop_token stop) {
          auto producer = must(shm::Producer::attach(instance, {.label = "source"}));
          while (!stop.stop_requested()) {
            auto frame = producer->claim(100ms);
            if (!frame && frame.error().id == "pool.full") continue;
            if (!frame) throw std::runtime_error(frame.error().text());
            const auto& geometry = producer->geometry();
            auto* pixels = reinterpret_cast<std::uint16_t*>(frame->image().data());
            std::fill_n(pixels, geometry.pixels(), std::uint16_t{10});
            pixels[geometry.width * 20 + 20] = 5000;
            frame->info().event_id = geometry.pixels();
            frame->info().timestamp = 1;
            must(frame->commit());
            ++committed_;
          }
        }) {}
  std::uint64_t committed() const { return committed_; }
  void end() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  std::atomic<std::uint64_t> committed_{0};
  std::jthread thread_;
};

System::Options at_work(const std::string& model = "builtin:threshold=1000") {
  return {.model = model, .shape = "[1,48,64]", .slots = 16, .min_num_peak = 1};
}

std::vector<hsize_t> shape_of_images(const std::filesystem::path& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t data = H5Dopen2(file, "/entry_1/data_1/data", H5P_DEFAULT);
  const hid_t space = H5Dget_space(data);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  H5Sclose(space);
  H5Dclose(data);
  H5Fclose(file);
  return dims;
}

// Everything that was committed is in a file once, the frame accounting balances, and the files prove it.
void expect_all_in_files(System& system, std::uint64_t committed) {
  auto stopped = system.ctl({"stop"});
  ASSERT_EQ(stopped.wait(), Exit::code(0)) << stopped.err();
  const auto frames = system.stats().at("lifetime");
  EXPECT_EQ(frames.at("committed"), committed);
  EXPECT_EQ(frames.at("written"), committed) << frames.dump();
  EXPECT_EQ(frames.at("in_flight"), 0);
  EXPECT_EQ(frames.at("imbalance"), 0);
  const auto in_files = system.frames_in_files();
  EXPECT_EQ(in_files.size(), committed);
  for (const auto& [key, times] : in_files) EXPECT_EQ(times, 1) << key.first << ':' << key.second;
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
}

std::size_t pools_of(const System& system) {
  const auto objects = shared_memory_of(system.instance());
  return static_cast<std::size_t>(std::count_if(objects.begin(), objects.end(),
                                                [](const auto& name) { return name.find(".g") != std::string::npos; }));
}

bool more_from(const Source& source, std::uint64_t than) {
  return eventually([&] { return source.committed() > than; }, 30s);
}

TEST(PoolMigration, ProducersAndWriterMoveOverTwiceAndNoFrameIsLostOrDoubled) {
  System system(at_work());
  system.start_daemon();
  system.start_writer();
  Source one(system.instance());
  Source two(system.instance());
  ASSERT_TRUE(more_from(one, 20) && more_from(two, 20));

  auto receipt = system.ctl_json({"rebuffer", "--slots", "40", "--depth", "2"});
  ASSERT_EQ(receipt.value("schema", ""), "peaknet.rebuffer/1") << receipt.dump();
  EXPECT_EQ(receipt.at("pool_before").at("slots"), 16);
  EXPECT_EQ(receipt.at("pool_after").at("slots"), 40);
  EXPECT_EQ(receipt.at("pool_after").at("epoch"), 2);
  EXPECT_EQ(receipt.at("lost"), 0);
  EXPECT_EQ(receipt.at("before"), 3);
  EXPECT_EQ(receipt.at("after"), 2);
  const std::uint64_t in_second = one.committed();
  ASSERT_TRUE(more_from(one, in_second + 20) && more_from(two, 60));

  receipt = system.ctl_json({"rebuffer", "--slots", "12", "--shape", "2,64,80"});
  ASSERT_EQ(receipt.value("schema", ""), "peaknet.rebuffer/1") << receipt.dump();
  EXPECT_EQ(receipt.at("pool_after").at("shape"), nlohmann::json({2, 64, 80}));
  EXPECT_EQ(receipt.at("lost"), 0);
  const auto status = system.ctl_json({"status"});
  EXPECT_EQ(status.at("state"), "running");
  EXPECT_EQ(status.at("pool").at("epoch"), 3);
  EXPECT_EQ(status.at("pool").at("slots"), 12);
  EXPECT_EQ(status.at("devices").at(0).at("depth"), 2) << "as it was changed to before";
  const std::uint64_t in_third = one.committed();
  ASSERT_TRUE(more_from(one, in_third + 20));
  one.end();
  two.end();
  EXPECT_EQ(pools_of(system), 1U) << "the former ones have been taken away";
  expect_all_in_files(system, one.committed() + two.committed());

  std::set<std::vector<hsize_t>> shapes;
  for (const auto& file : system.files()) {
    auto shape = shape_of_images(file);
    shape.erase(shape.begin());  // events
    shapes.insert(shape);
  }
  EXPECT_EQ(shapes, (std::set<std::vector<hsize_t>>{{48, 64}, {128, 80}})) << "panels are stacked";
}

TEST(PoolMigration, ADryRunSaysWhatItTakesAndChangesNothing) {
  System system(at_work());
  system.start_daemon();
  const auto plan = system.ctl_json({"rebuffer", "--slots", "100", "--shape", "1,100,100", "--dry-run"});
  EXPECT_EQ(plan.at("dry_run"), true);
  EXPECT_EQ(plan.at("pool_after").at("slots"), 100);
  EXPECT_GT(plan.at("pool_after").at("bytes"), 100 * 20'000);
  EXPECT_GT(plan.at("free_bytes"), plan.at("pool_after").at("bytes"));
  auto text = system.ctl({"rebuffer", "--slots", "100", "--dry-run"});
  EXPECT_EQ(text.wait(), Exit::code(0));
  EXPECT_NE(text.out().find("nothing was changed"), std::string::npos) << text.out();
  EXPECT_NE(text.out().find("100 slots of [1,48,64]"), std::string::npos) << text.out();
  EXPECT_EQ(system.ctl_json({"status"}).at("pool").at("epoch"), 1);
  EXPECT_EQ(pools_of(system), 1U);
}

TEST(PoolMigration, WhatCannotBeIsRefusedWithTheNumbersAndNothingChanges) {
  System system(at_work());
  system.start_daemon();
  const auto refused = [&](std::vector<std::string> arguments, const std::string& id, const std::string& text) {
    arguments.insert(arguments.begin(), "rebuffer");
    auto child = system.ctl(arguments);
    EXPECT_EQ(child.wait(), Exit::code(1)) << id;
    EXPECT_NE(child.err().find("[" + id + "]"), std::string::npos) << child.err();
    EXPECT_NE(child.err().find(text), std::string::npos) << child.err();
  };
  refused({"--slots", "4096", "--shape", "4,8192,8192"}, "rebuffer.no-space", "GiB free");
  refused({"--shape", "1024,32768,32768"}, "rebuffer.bad-pool", "2^30");
  refused({"--shape", "1025,48,64"}, "rebuffer.bad-pool", "1 to 1024 panels");
  refused({}, "rebuffer.nothing", "depth, batch, slots or shape");
  EXPECT_EQ(system.ctl({"rebuffer", "--shape", "48,64"}).wait(), Exit::code(2));
  EXPECT_EQ(system.ctl({"rebuffer", "--slots", "1"}).wait(), Exit::code(2));
  EXPECT_EQ(system.ctl_json({"status"}).at("pool").at("epoch"), 1);
  EXPECT_EQ(pools_of(system), 1U);

  // Frames wait, and nobody writes them.
  auto producer = must(shm::Producer::attach(system.instance(), {.label = "test"}));
  must(must(producer->claim(1s)).commit());
  refused({"--slots", "20"}, "rebuffer.no-writer", "1 frames");
  ASSERT_EQ(system.ctl({"stop", "--now"}).wait(), Exit::code(0));
  refused({"--slots", "20"}, "rebuffer.frames-wait", "1 frames");
}

TEST(PoolMigration, CalibrationThatDoesNotFitTheShapeIsAReasonToRefuse) {
  auto options = at_work();
  System system(options);
  const std::string file = (system.folder() / "calibration.h5").string();
  const hid_t made = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t pixels = 48 * 64;
  const hid_t space = H5Screate_simple(1, &pixels, nullptr);
  const hid_t data = H5Dcreate2(made, "/pedestal", H5T_NATIVE_FLOAT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const std::vector<float> values(pixels, 1.0F);
  H5Dwrite(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(data);
  H5Sclose(space);
  H5Fclose(made);
  system.start_daemon({"preprocess.pedestal=" + file + ":/pedestal"});
  auto refused = system.ctl({"rebuffer", "--shape", "1,64,64"});
  EXPECT_EQ(refused.wait(), Exit::code(1));
  EXPECT_NE(refused.err().find("[preprocess.bad-size]"), std::string::npos) << refused.err();
  EXPECT_NE(refused.err().find("4096 pixels"), std::string::npos) << refused.err();
  EXPECT_EQ(system.ctl({"rebuffer", "--slots", "20"}).wait(), Exit::code(0)) << "the same shape fits";
}

TEST(PoolMigration, ARequestThatIsSentAgainIsCarriedOutOnce) {
  System system(at_work());
  system.start_daemon();
  const auto first = system.ctl_json({"rebuffer", "--slots", "24", "--key", "the same"});
  const auto second = system.ctl_json({"rebuffer", "--slots", "24", "--key", "the same"});
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.at("pool_after").at("epoch"), 2);
  EXPECT_EQ(system.ctl_json({"status"}).at("pool").at("epoch"), 2);
}

// A change whose old pool is closed and cannot drain: the writer stands still.
void begin_without_end(System& system, const Source& source, Child& change) {
  ASSERT_TRUE(more_from(source, 20));
  system.writer().stop();
  change = system.launch("peaknetctl", {"rebuffer", "--slots", "40"});
  ASSERT_TRUE(eventually([&] { return system.daemon().err().find("closed with") != std::string::npos; }));
}

TEST(PoolMigration, ADaemonKilledWhileTheOldPoolDrainsFindsItAgain) {
  System system(at_work());
  system.start_daemon();
  system.start_writer();
  Source source(system.instance());
  Child change;
  ASSERT_NO_FATAL_FAILURE(begin_without_end(system, source, change));
  const std::uint64_t waiting_from = source.committed();
  system.daemon().kill();
  EXPECT_NE(change.wait(), Exit::code(0));
  system.writer().go_on();
  system.start_daemon();
  EXPECT_EQ(system.ctl_json({"status"}).at("pool").at("slots"), 16) << "the change never happened";
  EXPECT_EQ(pools_of(system), 1U) << "the pool that was made for it is gone";
  ASSERT_TRUE(more_from(source, waiting_from + 20));
  source.end();
  expect_all_in_files(system, source.committed());
}

TEST(PoolMigration, ADaemonKilledAfterTheNewPoolWasNamedGoesOnWithIt) {
  System system(at_work("builtin:delay=200"));  // three warm-ups of three batches: two seconds
  system.start_daemon();
  system.start_writer();
  Source source(system.instance());
  ASSERT_TRUE(more_from(source, 8));
  auto change = system.launch("peaknetctl", {"rebuffer", "--slots", "40", "--shape", "1,64,64"});
  ASSERT_TRUE(eventually([&] { return system.ctl_json({"status"}).at("pool").at("epoch") == 2; }, 30s));
  EXPECT_EQ(pools_of(system), 2U);
  system.daemon().kill();
  EXPECT_NE(change.wait(), Exit::code(0));
  const std::uint64_t before = source.committed();
  system.start_daemon();  // with a configuration that says 16 slots of [1,48,64]
  const auto pool = system.ctl_json({"status"}).at("pool");
  EXPECT_EQ(pool.at("epoch"), 2);
  EXPECT_EQ(pool.at("slots"), 40);
  EXPECT_EQ(pool.at("shape"), nlohmann::json({1, 64, 64}));
  EXPECT_EQ(pools_of(system), 1U) << "the former one was empty";
  EXPECT_NE(system.daemon().err().find("that rebuffer gave it"), std::string::npos) << system.daemon().err();
  ASSERT_TRUE(more_from(source, before + 8));
  source.end();
  auto stopped = system.ctl({"stop"});
  ASSERT_EQ(stopped.wait(), Exit::code(0)) << stopped.err();
  const auto frames = system.stats().at("lifetime");
  EXPECT_EQ(frames.at("committed"), source.committed());
  EXPECT_EQ(frames.at("filtered"), source.committed()) << "this model finds nothing";
  EXPECT_EQ(frames.at("imbalance"), 0);
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
}

TEST(PoolMigration, AStopThatComesWhileTheOldPoolDrainsComesFirst) {
  System system(at_work());
  system.start_daemon();
  system.start_writer();
  Source source(system.instance());
  Child change;
  ASSERT_NO_FATAL_FAILURE(begin_without_end(system, source, change));
  auto stop = system.launch("peaknetctl", {"stop"});
  EXPECT_EQ(change.wait(), Exit::code(1));
  EXPECT_NE(change.err().find("[rebuffer.given-up]"), std::string::npos) << change.err();
  source.end();
  system.writer().go_on();
  EXPECT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  EXPECT_EQ(system.ctl_json({"status"}).at("pool").at("slots"), 16);
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  expect_all_in_files(system, source.committed());
}

TEST(PoolMigration, AStopThatComesWhileTheNewEngineWarmsUpWaitsForIt) {
  System system(at_work("builtin:delay=200"));
  system.start_daemon();
  system.start_writer();
  auto change = system.launch("peaknetctl", {"rebuffer", "--slots", "40"});
  ASSERT_TRUE(eventually([&] { return system.ctl_json({"status"}).at("pool").at("epoch") == 2; }, 30s));
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(change.wait(), Exit::code(0)) << change.err();
  EXPECT_EQ(system.ctl_json({"status"}).at("state"), "idle");
}

// The trial of the model passes, and then the device has no memory for all that the engine wants of it.
TEST(PoolMigration, WhereTheNewShapeDoesNotWorkTheOldPoolIsAtWorkAgain) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory cannot keep to a limit: it ends the program";
#endif
  System system(at_work());
  auto& daemon = system.start_daemon();
  system.start_writer();
  Source source(system.instance());
  ASSERT_TRUE(more_from(source, 20));
  std::ifstream statm("/proc/" + std::to_string(daemon.pid()) + "/statm");
  std::uint64_t pages = 0;
  statm >> pages;
  const rlim_t most = pages * 4096 + 550'000'000;
  const rlimit limit{most, most};
  ASSERT_EQ(::prlimit(daemon.pid(), RLIMIT_AS, &limit, nullptr), 0);
  auto change = system.ctl({"rebuffer", "--slots", "2", "--shape", "1,4096,4096"});
  EXPECT_EQ(change.wait(), Exit::code(1));
  EXPECT_NE(change.err().find("[device.no-memory]"), std::string::npos) << change.err() << daemon.err();
  EXPECT_NE(daemon.err().find("the pool of epoch 2: "), std::string::npos) << "it had moved over, not just tried";
  const auto status = system.ctl_json({"status"});
  EXPECT_EQ(status.at("state"), "running");
  EXPECT_EQ(status.at("pool").at("slots"), 16);
  EXPECT_EQ(pools_of(system), 1U);
  const std::uint64_t before = source.committed();
  ASSERT_TRUE(more_from(source, before + 20));
  source.end();
  expect_all_in_files(system, source.committed());
}

}  // namespace
}  // namespace peaknet::test
