// Pixels and logits that are no numbers, in a run: on the host, and on CUDA devices (tests/gpusim) with recorded
// graphs.
//
// The network is builtin:threshold=3e38. A pixel of -3e38 makes its logit -infinity; a NaN among the pixels makes none.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "daemon/engine/worker.hpp"
#include "daemon/model/builtin_model.hpp"
#include "shm/errors.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/daemon/engine/device_kind.hpp"
#if PEAKNET_TEST_CUDA
#include "daemon/model/cuda_builtin_model.hpp"
#endif

namespace peaknet::engine::test {
namespace {

using peaknet::test::eventually;
using peaknet::test::must;
using shm::Counter;

constexpr std::chrono::seconds kPatience{30};
constexpr float kBlinding = -3e38F;

class NotFiniteFrames : public testing::Test {
 protected:
  static constexpr std::uint32_t kPanels = 2, kHeight = 5, kWidth = 70;

  static Result<std::unique_ptr<model::Model>> network() {
    const std::string path = "builtin:threshold=3e38";
#if PEAKNET_TEST_CUDA
    if (on_cuda()) return model::make_cuda_builtin_model({.path = path, .device = device_name(0)});
#endif
    return model::make_builtin_model({.path = path, .device = "cpu"});
  }
  void start(std::uint32_t batch) {
    WorkerOptions options;
    options.instance = instance.name();
    options.name = device_name(0);
    options.batch = batch;
    options.max_delay = std::chrono::seconds(10);  // a batch waits until it is full
    options.depth = 1;
    options.layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
    options.layout.panels = kPanels;
    options.layout.height = kHeight;
    options.layout.width = kWidth;
    options.layout.padded_height = 8;
    options.layout.padded_width = 96;
    worker = std::make_unique<Worker>(
        options, [] { return make_device(0); }, network, gate, progress);
    ASSERT_TRUE(eventually([&] { return worker->state() == WorkerState::ready; }, kPatience))
        << worker->failure().text();
  }
  void commit(float last_pixel) {
    auto frame = must(producer->claim(std::chrono::seconds(10)));
    const auto pixels = frame.pixels<float>();
    std::fill(pixels.begin(), pixels.end(), 7.0F);
    pixels.back() = last_pixel;
    frame.info().event_id = committed++;
    must(frame.commit());
  }
  // The results that are there, by event; each is finished as the writer does it.
  std::map<std::uint64_t, shm::ResultStatus> collect(std::size_t count) {
    std::map<std::uint64_t, shm::ResultStatus> found;
    while (found.size() < count) {
      auto taken = writer->take(count);
      for (auto& frame : taken.frames) {
        const auto status = static_cast<shm::ResultStatus>(frame.descriptor().result_status);
        found[frame.descriptor().event_id] = status;
        must(frame.finish(status == shm::ResultStatus::error ? Counter::failed_model : Counter::filtered));
      }
      if (taken.frames.empty()) writer->wait_for_work(shm::kWaitSlice);
    }
    return found;
  }
  shm::DeviceRecord& record() const { return instance.layout().devices[0]; }

  peaknet::test::TestInstance instance{{.geometry = {16, kPanels, kHeight, kWidth, PixelType::float32}}};
  Gate gate;
  shm::EventCount progress;
  std::unique_ptr<shm::Producer> producer = instance.producer();
  std::unique_ptr<shm::Consumer> writer = instance.consumer(shm::Queue::q2);
  std::unique_ptr<Worker> worker;
  std::uint64_t committed = 0;
};

TEST_F(NotFiniteFrames, fail_by_themselves_and_the_others_of_their_batch_do_not) {
  start(4);
  for (const float pixel : {7.0F, kBlinding, 7.0F, kBlinding}) commit(pixel);
  gate.open("run-1");
  const auto found = collect(4);
  for (const auto& [event, status] : found)
    EXPECT_EQ(status, event % 2 == 0 ? shm::ResultStatus::mask : shm::ResultStatus::error) << event;
  EXPECT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
  EXPECT_EQ(record().model_errors.load(), 2U);
  EXPECT_EQ(record().frames.load(), 2U);
  EXPECT_EQ(record().retried.load(), 0U) << "nothing runs twice for it";
  bool told = false;
  for (const auto& kind : shm::read_errors(instance.control_segment())) {
    if (kind.id != "model.not-finite") continue;
    told = true;
    EXPECT_EQ(kind.count, 2U);
    EXPECT_NE(kind.text.find("frame"), std::string::npos) << kind.text;
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(record().graphs.load().starts_with("replayed"), on_cuda()) << record().graphs.load();
}

// What is left of a batch before in the rows that the next one does not fill must not count.
TEST_F(NotFiniteFrames, do_not_come_again_in_the_padding_of_later_batches) {
  start(4);
  for (int i = 0; i < 4; ++i) commit(kBlinding);
  gate.open("run-1");
  collect(4);
  gate.shut();
  for (int i = 0; i < 3; ++i) commit(7.0F);  // of four
  gate.open("run-2");
  for (const auto& [event, status] : collect(3)) EXPECT_EQ(status, shm::ResultStatus::mask) << event;
  EXPECT_EQ(record().model_errors.load(), 4U);
}

TEST_F(NotFiniteFrames, one_odd_pixel_does_not_take_the_event_and_is_counted) {
  start(2);
  commit(std::numeric_limits<float>::quiet_NaN());
  commit(std::numeric_limits<float>::infinity());
  gate.open("run-1");
  for (const auto& [event, status] : collect(2)) EXPECT_EQ(status, shm::ResultStatus::mask) << event;
  EXPECT_TRUE(eventually([&] { return instance.total(Counter::pixels_not_finite) == 2; }, kPatience));
  EXPECT_EQ(record().model_errors.load(), 0U);
}

}  // namespace
}  // namespace peaknet::engine::test
