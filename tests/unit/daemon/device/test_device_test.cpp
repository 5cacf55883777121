// The test device itself: it does what streams do, and it sees what events do not order.
#include "tests/unit/daemon/device/test_device.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/pixel_type.hpp"

namespace peaknet::device::test {
namespace {

using Kind = HappensBefore::Kind;

class Bench {
 public:
  explicit Bench(unsigned seed = 1) : device("test", seed, handle, order) {
    slot.fill(std::byte{7});
    order->host(Kind::write, slot.data(), slot.size(), "fill");
  }
  void run_all() {
    while (device.step()) {
    }
  }
  std::size_t violations() const { return order->violations().size(); }
  // A batch of one image, the edges of which may be left out.
  void batch(bool upload_edge, bool download_edge) {
    const auto uploaded = device.make_event();
    const auto computed = device.make_event();
    downloaded = device.make_event();
    device.upload({slot.data(), slot.size(), slot.size(), 1}, lane->address(), slot.size());
    device.record(uploaded, Stream::upload);
    if (upload_edge) device.wait(Stream::compute, uploaded);
    device.compute([this](void*) {
      const std::byte* image = lane->address();
      auto* place = reinterpret_cast<std::uint64_t*>(masks->address());
      const auto input = kernels::contiguous(in->address(), kernels::Element::float32, 1, 1, 2, 4);
      device.kernels().before(layout, &image, 1, input, nullptr);
      device.kernels().after(layout, kernels::contiguous(logits.data(), kernels::Element::float32, 1, 2, 2, 4), &place,
                             1, nullptr);
    });
    device.record(computed, Stream::compute);
    if (download_edge) device.wait(Stream::download, computed);
    device.download(reinterpret_cast<std::uint64_t*>(masks->address()), mask);
    device.record(downloaded, Stream::download);
  }

  std::shared_ptr<TestDeviceHandle> handle = std::make_shared<TestDeviceHandle>();
  std::shared_ptr<HappensBefore> order = std::make_shared<HappensBefore>();
  TestDevice device;
  std::unique_ptr<Memory> lane = std::move(device.reserve(16)).value();
  std::unique_ptr<Memory> in = std::move(device.reserve(32)).value();
  std::unique_ptr<Memory> masks = std::move(device.reserve(16)).value();
  std::array<std::byte, 16> slot{};  // two rows of four 16-bit pixels
  std::array<std::uint64_t, 2> mask{};
  std::array<float, 16> logits{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1};
  kernels::FrameLayout layout{static_cast<std::uint32_t>(PixelType::uint16), 1, 2, 4, 2, 4, 0, 0, false};
  Event downloaded = 0;
};

TEST(TestDevice, a_batch_whose_steps_are_ordered_by_events_is_right_in_every_order_of_steps) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    Bench bench(seed);
    bench.batch(true, true);
    EXPECT_FALSE(bench.device.done(bench.downloaded));
    bench.run_all();
    ASSERT_TRUE(bench.device.done(bench.downloaded));
    bench.order->host(Kind::read, bench.mask.data(), sizeof bench.mask, "look");
    bench.order->host(Kind::write, bench.slot.data(), bench.slot.size(), "refill");
    EXPECT_EQ(bench.violations(), 0U) << bench.order->violations().front();
    EXPECT_EQ(bench.mask[0], 1U);
    EXPECT_EQ(bench.mask[1], 8U);
  }
}

TEST(TestDevice, an_event_that_is_missing_is_seen_whatever_ran_first) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    for (const bool upload : {true, false}) {
      Bench bench(seed);
      bench.batch(upload, !upload);
      bench.run_all();
      EXPECT_GT(bench.violations(), 0U);
    }
  }
}

TEST(TestDevice, a_result_that_is_looked_at_before_its_event_was_seen_is_a_violation_also_when_it_is_there) {
  Bench bench;
  bench.batch(true, true);
  bench.run_all();
  bench.order->host(Kind::read, bench.mask.data(), sizeof bench.mask, "look");
  ASSERT_EQ(bench.violations(), 1U);
  EXPECT_NE(bench.order->violations().front().find("the host reads (look) what nothing orders after test's download"),
            std::string::npos)
      << bench.order->violations().front();
}

TEST(TestDevice, an_image_that_is_refilled_while_it_is_read_is_a_violation) {
  Bench bench;
  bench.batch(true, true);
  bench.order->host(Kind::write, bench.slot.data(), bench.slot.size(), "refill");
  EXPECT_EQ(bench.violations(), 0U) << "nothing has run yet";
  bench.run_all();
  EXPECT_EQ(bench.violations(), 1U);
}

TEST(TestDevice, a_part_of_a_range_is_enough) {
  HappensBefore order;
  const auto a = order.add("a");
  const auto b = order.add("b");
  std::array<char, 100> memory{};
  order.access(a, order.step(a), Kind::write, &memory[10], 50, "");
  order.access(b, order.step(b), Kind::write, &memory[60], 40, "");
  order.access(b, order.step(b), Kind::read, &memory[0], 10, "");
  EXPECT_TRUE(order.violations().empty());
  order.access(b, order.step(b), Kind::read, &memory[59], 1, "");
  EXPECT_EQ(order.violations().size(), 1U);
  order.learn(b, order.clock(a));
  order.access(b, order.step(b), Kind::read, &memory[59], 1, "");
  EXPECT_EQ(order.violations().size(), 1U);
}

TEST(TestDevice, the_seed_chooses_the_order_and_repeats_it) {
  const auto order_of = [](unsigned seed) {
    const auto handle = std::make_shared<TestDeviceHandle>();
    TestDevice device("test", seed, handle, std::make_shared<HappensBefore>());
    std::string text;
    for (int i = 0; i < 3; ++i) {
      device.on_done(0, Stream::upload, [&] { text += 'u'; });
      device.on_done(0, Stream::compute, [&] { text += 'c'; });
      device.on_done(0, Stream::download, [&] { text += 'd'; });
    }
    while (device.step()) {
    }
    return text;
  };
  std::set<std::string> seen;
  for (unsigned seed = 0; seed < 100; ++seed) {
    seen.insert(order_of(seed));
    EXPECT_EQ(order_of(seed), order_of(seed));
  }
  EXPECT_GT(seen.size(), 50U);
}

TEST(TestDevice, a_stream_that_is_stuck_never_reaches_its_event_and_a_stubborn_one_does_not_let_go) {
  for (const bool stubborn : {false, true}) {
    Bench bench;
    bench.batch(true, true);
    bench.device.stick(stubborn);
    bench.run_all();
    EXPECT_FALSE(bench.device.done(bench.downloaded));
    EXPECT_TRUE(bench.device.health().ok()) << "nobody says so";
    EXPECT_EQ(bench.device.release(std::chrono::seconds(0)), !stubborn);
    bench.device.free_streams();
    EXPECT_TRUE(bench.device.release(std::chrono::seconds(0)));
  }
}

TEST(TestDevice, events_of_a_device_that_broke_down_may_look_done) {
  int looked_done = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    Bench bench(seed);
    bench.batch(true, true);
    bench.device.break_down();
    looked_done += bench.device.done(bench.downloaded) ? 1 : 0;
    EXPECT_EQ(bench.device.health().error().id, "device.lost");
    EXPECT_TRUE(bench.device.release(std::chrono::seconds(0)));
  }
  EXPECT_GT(looked_done, 0);
  EXPECT_LT(looked_done, 20);
}

TEST(TestDevice, memory_and_runs_fail_when_told) {
  Bench bench;
  bench.handle->most_bytes = 10;
  EXPECT_EQ(bench.device.reserve(11).error().id, "device.no-memory");
  EXPECT_TRUE(bench.device.reserve(10).ok());
  bench.handle->most_rows = 4;
  EXPECT_EQ(bench.handle->error_for(5)->id, "device.no-memory");
  bench.handle->failing_runs = 1;
  EXPECT_EQ(bench.handle->error_for(4)->id, "device.transient");
  EXPECT_FALSE(bench.handle->error_for(4));
}

}  // namespace
}  // namespace peaknet::device::test
