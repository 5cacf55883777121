#include "daemon/device/host_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

namespace peaknet::device {
namespace {

constexpr std::array<Stream, kStreams> kAllStreams = {Stream::upload, Stream::compute, Stream::download};

// Run `work` in the order of any stream; the upload and the download stream take callbacks alone.
void run_on(Device& device, Stream stream, std::function<void()> work) {
  if (stream == Stream::compute) {
    device.compute([work = std::move(work)](void*) { work(); });
  } else {
    const Event here = device.make_event();
    device.record(here, stream);
    device.on_done(here, stream, std::move(work));
  }
}

// Work that lasts until it is told to end: the slow kernel of these tests. Declare it after the device: it lets go by
// itself.
class Turnstile {
 public:
  ~Turnstile() { open(); }
  std::function<void()> work() {
    return [this, opened = opened_.get_future().share()] {
      inside_.store(true);
      inside_.notify_all();
      opened.wait();
    };
  }
  void wait_until_inside() const { inside_.wait(false); }
  void open() {
    if (!std::exchange(is_open_, true)) opened_.set_value();
  }

 private:
  std::promise<void> opened_;
  std::atomic<bool> inside_{false};
  bool is_open_ = false;
};

// The cases below share plain ints between streams: ThreadSanitizer sees it if an event does not order them.

TEST(HostDevice, work_of_one_stream_runs_in_the_order_it_was_given) {
  for (const Stream stream : kAllStreams) {
    const auto device = make_host_device();
    std::vector<int> order;
    for (int i = 0; i < 200; ++i) run_on(*device, stream, [&order, i] { order.push_back(i); });
    ASSERT_TRUE(device->synchronize().ok());
    ASSERT_EQ(order.size(), 200U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST(HostDevice, streams_run_beside_each_other) {
  const auto device = make_host_device();
  Turnstile compute;
  run_on(*device, Stream::compute, compute.work());
  std::promise<void> uploaded;
  std::promise<void> downloaded;
  run_on(*device, Stream::upload, [&] { uploaded.set_value(); });
  run_on(*device, Stream::download, [&] { downloaded.set_value(); });
  uploaded.get_future().wait();
  downloaded.get_future().wait();  // else the test hangs
  compute.open();
  EXPECT_TRUE(device->synchronize().ok());
}

TEST(HostDevice, a_wait_makes_any_stream_come_after_what_any_other_did_before_the_record) {
  for (const Stream first : kAllStreams) {
    for (const Stream second : kAllStreams) {
      const auto device = make_host_device();
      const Event between = device->make_event();
      int value = 0;
      int seen = -1;
      Turnstile slow;
      run_on(*device, first, slow.work());
      run_on(*device, first, [&] { value = 42; });
      device->record(between, first);
      device->wait(second, between);
      run_on(*device, second, [&] { seen = value; });
      slow.wait_until_inside();
      EXPECT_FALSE(device->done(between));
      slow.open();
      ASSERT_TRUE(device->synchronize().ok());
      EXPECT_EQ(seen, 42);
      EXPECT_TRUE(device->done(between));
    }
  }
}

TEST(HostDevice, what_is_done_may_be_read_by_the_thread_that_asked) {
  const auto device = make_host_device();
  const Event event = device->make_event();
  int value = 0;
  device->compute([&](void*) { value = 7; });
  device->record(event, Stream::compute);
  while (!device->done(event)) std::this_thread::yield();
  EXPECT_EQ(value, 7);
}

TEST(HostDevice, an_event_that_was_never_recorded_is_done_and_holds_nobody_up) {
  const auto device = make_host_device();
  const Event event = device->make_event();
  EXPECT_TRUE(device->done(event));
  bool ran = false;
  device->wait(Stream::compute, event);
  device->compute([&](void*) { ran = true; });
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_TRUE(ran);
}

TEST(HostDevice, an_event_that_is_recorded_again_stands_for_the_later_record_alone) {
  const auto device = make_host_device();
  const Event event = device->make_event();
  device->record(event, Stream::compute);
  ASSERT_TRUE(device->synchronize().ok());
  ASSERT_TRUE(device->done(event));

  Turnstile slow;
  run_on(*device, Stream::compute, slow.work());
  device->record(event, Stream::compute);
  EXPECT_FALSE(device->done(event)) << "what was done before does not count";
  std::atomic<bool> passed{false};
  device->wait(Stream::download, event);
  run_on(*device, Stream::download, [&] { passed.store(true); });
  slow.wait_until_inside();
  EXPECT_FALSE(passed.load());
  slow.open();
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_TRUE(passed.load());
  EXPECT_TRUE(device->done(event));
}

TEST(HostDevice, who_waits_for_a_record_does_not_wait_for_a_later_one) {
  const auto device = make_host_device();
  const Event event = device->make_event();
  Turnstile busy;
  run_on(*device, Stream::download, busy.work());
  device->record(event, Stream::compute);
  device->wait(Stream::download, event);  // queued behind the turnstile
  std::promise<void> passed;
  run_on(*device, Stream::download, [&] { passed.set_value(); });
  while (!device->done(event)) std::this_thread::yield();
  Turnstile slow;
  run_on(*device, Stream::compute, slow.work());
  device->record(event, Stream::compute);
  busy.open();
  passed.get_future().wait();  // else the test hangs: the second record is behind the other turnstile
  EXPECT_FALSE(device->done(event));
  slow.open();
  EXPECT_TRUE(device->synchronize().ok());
}

TEST(HostDevice, a_few_events_recorded_again_and_again_keep_three_streams_in_step) {
  const auto device = make_host_device();
  struct Set {
    Event uploaded, computed, downloaded;
  };
  std::vector<Set> sets;
  for (int i = 0; i < 4; ++i) sets.push_back({device->make_event(), device->make_event(), device->make_event()});
  int step = 0;
  int mistakes = 0;
  const auto expect_step = [&](int expected) {
    if (step != expected) ++mistakes;
    ++step;
  };
  Event last = sets.back().downloaded;
  for (int i = 0; i < 1000; ++i) {
    const auto& [uploaded, computed, downloaded] = sets[static_cast<std::size_t>(i) % sets.size()];
    while (!device->done(downloaded)) std::this_thread::yield();
    device->wait(Stream::upload, last);
    run_on(*device, Stream::upload, [&, i] { expect_step(3 * i); });
    device->record(uploaded, Stream::upload);
    device->wait(Stream::compute, uploaded);
    run_on(*device, Stream::compute, [&, i] { expect_step(3 * i + 1); });
    device->record(computed, Stream::compute);
    device->wait(Stream::download, computed);
    run_on(*device, Stream::download, [&, i] { expect_step(3 * i + 2); });
    device->record(downloaded, Stream::download);
    last = downloaded;
  }
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_EQ(step, 3000);
  EXPECT_EQ(mistakes, 0);
}

TEST(HostDevice, a_callback_comes_once_and_only_when_its_event_is_done) {
  const auto device = make_host_device();
  const Event event = device->make_event();
  std::atomic<int> calls{0};
  int value = 0;
  int seen = -1;
  Turnstile slow;
  run_on(*device, Stream::compute, slow.work());
  device->compute([&](void*) { value = 5; });
  device->record(event, Stream::compute);
  device->on_done(event, Stream::compute, [&] {
    seen = value;
    calls.fetch_add(1);
  });
  slow.wait_until_inside();
  EXPECT_EQ(calls.load(), 0);
  slow.open();
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_EQ(calls.load(), 1);
  EXPECT_EQ(seen, 5);
}

TEST(HostDevice, who_is_called_back_finds_the_event_done) {
  const auto device = make_host_device();
  const Event computed = device->make_event();
  const Event downloaded = device->make_event();
  for (int i = 0; i < 200; ++i) {
    std::promise<void> called;
    device->compute([](void*) {});
    device->record(computed, Stream::compute);
    device->wait(Stream::download, computed);
    device->record(downloaded, Stream::download);
    device->on_done(downloaded, Stream::download, [&] { called.set_value(); });
    called.get_future().wait();
    ASSERT_TRUE(device->done(downloaded));
  }
}

TEST(HostDevice, a_batch_wakes_one_thread_and_not_one_for_each_stream) {
  const auto device = make_host_device();
  const Event uploaded = device->make_event();
  const Event computed = device->make_event();
  const Event downloaded = device->make_event();
  for (int i = 0; i < 50; ++i) {
    std::thread::id computing;
    std::promise<std::thread::id> called;
    Turnstile slow;
    device->record(uploaded, Stream::upload);
    EXPECT_TRUE(device->done(uploaded)) << "nothing was on its stream";
    device->wait(Stream::compute, uploaded);
    device->compute([&, work = slow.work()](void*) {
      computing = std::this_thread::get_id();
      work();
    });
    device->record(computed, Stream::compute);
    device->wait(Stream::download, computed);
    device->record(downloaded, Stream::download);
    device->on_done(downloaded, Stream::download, [&] { called.set_value(std::this_thread::get_id()); });
    EXPECT_FALSE(device->done(downloaded));
    slow.open();
    ASSERT_EQ(called.get_future().get(), computing);
  }
}

TEST(HostDevice, streams_that_wait_for_each_other_in_turns_come_to_their_ends) {
  const auto device = make_host_device();
  int turns = 0;
  for (int i = 0; i < 500; ++i) {
    for (std::size_t k = 0; k < kStreams; ++k) {
      const Event passed = device->make_event();
      run_on(*device, kAllStreams[k], [&turns] { ++turns; });
      device->record(passed, kAllStreams[k]);
      device->wait(kAllStreams[(k + 1) % kStreams], passed);
    }
  }
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_EQ(turns, 1500);
}

TEST(HostDevice, synchronize_waits_for_all_that_was_given_to_every_stream) {
  const auto device = make_host_device();
  std::array<int, kStreams> counts{};
  for (int round = 1; round <= 20; ++round) {
    for (const Stream stream : kAllStreams) {
      for (int i = 0; i < 10; ++i)
        run_on(*device, stream, [&counts, stream] { ++counts[static_cast<std::size_t>(stream)]; });
    }
    ASSERT_TRUE(device->synchronize().ok());
    for (const int count : counts) ASSERT_EQ(count, 10 * round);
  }
}

TEST(HostDevice, destruction_finishes_what_was_queued_also_what_waits_for_other_streams) {
  std::atomic<int> done{0};  // what is called when an event is done runs beside what waited for that event
  {
    Turnstile slow;
    const auto device = make_host_device();
    run_on(*device, Stream::upload, slow.work());
    const Event uploaded = device->make_event();
    device->record(uploaded, Stream::upload);
    for (int i = 0; i < 50; ++i) {
      const Event computed = device->make_event();
      device->wait(Stream::compute, uploaded);
      device->compute([&](void*) { ++done; });
      device->record(computed, Stream::compute);
      device->wait(Stream::download, computed);
      device->wait(Stream::upload, computed);
      const Event downloaded = device->make_event();
      device->record(downloaded, Stream::download);
      device->on_done(downloaded, Stream::download, [&done] { ++done; });
      device->wait(Stream::compute, downloaded);
    }
    slow.wait_until_inside();
    slow.open();
  }
  EXPECT_EQ(done, 100);
}

TEST(HostDevice, lets_go_when_its_streams_are_at_their_ends_and_not_before) {
  using namespace std::chrono_literals;
  const auto device = make_host_device();
  Turnstile slow;
  int done = 0;
  run_on(*device, Stream::compute, slow.work());
  run_on(*device, Stream::compute, [&] { ++done; });
  EXPECT_FALSE(device->release(0s));
  EXPECT_FALSE(device->release(5ms));
  slow.open();
  EXPECT_TRUE(device->release(30s));
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(device->release(0s));
}

TEST(HostDevice, is_not_idle_before_what_came_while_it_was_waited_for_is_done_too) {
  const auto device = make_host_device();
  Turnstile first;
  Turnstile second;
  run_on(*device, Stream::compute, first.work());
  EXPECT_FALSE(device->idle_within(std::chrono::milliseconds(1)));
  run_on(*device, Stream::compute, second.work());
  first.open();
  EXPECT_FALSE(device->idle_within(std::chrono::milliseconds(50))) << "the second is not done";
  second.open();
  EXPECT_TRUE(device->synchronize().ok());
}

TEST(HostDevice, a_device_that_was_never_used_ends_at_once) {
  for (int i = 0; i < 50; ++i) EXPECT_NE(make_host_device(), nullptr);
}

TEST(HostDevice, events_stay_valid_while_many_more_are_made) {
  const auto device = make_host_device();
  const Event first = device->make_event();
  Turnstile slow;
  run_on(*device, Stream::compute, slow.work());
  device->record(first, Stream::compute);
  device->wait(Stream::download, first);
  std::vector<Event> more;
  for (int i = 0; i < 1000; ++i) more.push_back(device->make_event());
  for (const Event event : more) device->record(event, Stream::compute);
  slow.open();
  ASSERT_TRUE(device->synchronize().ok());
  EXPECT_TRUE(device->done(first));
  EXPECT_TRUE(std::all_of(more.begin(), more.end(), [&](Event event) { return device->done(event); }));
}

TEST(HostDevice, images_are_read_and_results_written_where_they_are) {
  const auto device = make_host_device();
  std::vector<std::byte> image(64);
  std::vector<std::byte> lane(64);
  std::vector<std::uint64_t> slot(8);
  std::vector<std::uint64_t> place(8);
  ASSERT_TRUE(device->adopt_payload(image, image.size()).ok());
  const auto uploaded = device->upload({image.data(), 4, 8, 2}, lane.data(), 4);
  EXPECT_EQ(uploaded.images.first, image.data());
  EXPECT_EQ(uploaded.images.image(1), image.data() + 8) << "where it was, not where it would lie in a lane";
  EXPECT_EQ(uploaded.transfers, 0U);
  EXPECT_EQ(device->result_place(slot, place.data()), slot.data());
  device->download(slot.data(), slot);
  EXPECT_EQ(device->h2d_mode(), "in place");
  EXPECT_EQ(device->name(), "cpu");
  EXPECT_TRUE(device->health().ok());
}

TEST(HostDevice, the_memory_of_a_lane_is_page_aligned_and_zero) {
  const auto device = make_host_device();
  auto memory = device->reserve(100'000);
  ASSERT_TRUE(memory.ok()) << memory.error().text();
  const std::byte* address = (*memory)->address();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(address) % 4096, 0U);
  EXPECT_TRUE(std::all_of(address, address + 100'000, [](std::byte b) { return b == std::byte{0}; }));
}

TEST(HostDevice, memory_that_cannot_be_had_is_refused_with_the_amount_and_a_remedy) {
  const auto device = make_host_device();
  const auto memory = device->reserve(std::numeric_limits<std::size_t>::max() / 2);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.error().id, "device.no-memory");
  EXPECT_NE(memory.error().what.find("8388608.00 TiB"), std::string::npos) << memory.error().text();
  EXPECT_NE(memory.error().remedy.find("engine.batch"), std::string::npos) << memory.error().text();
}

}  // namespace
}  // namespace peaknet::device
