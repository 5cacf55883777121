#include "daemon/engine/result_publisher.hpp"

#include <bit>
#include <utility>

#include "base/log_line.hpp"
#include "daemon/engine/model_verification.hpp"

namespace peaknet::engine {

void ResultPublisher::publish(const Lane& lane, FrameBatch& batch, const std::string& model) {
  auto& counters = report_.record();
  std::uint32_t good = 0;
  for (std::size_t i = 0; i < batch.frames.size(); ++i) {
    auto& frame = batch.frames[i];
    if (lane.findings.not_finite(i)) {
      fail(std::move(frame), not_finite(model + " gives logits that are NaN or infinite",
                                        "the frame is counted as failed{model}; others of its batch are not touched"));
      continue;
    }
    ++good;
    if (auto published = frame.publish(shm::ResultStatus::mask, lane.model_number); !published)
      log::error("{}", published.error().text());
  }
  counters.frames.fetch_add(good, std::memory_order_relaxed);
  counters.batches.fetch_add(1, std::memory_order_relaxed);
  in_flight_.fetch_sub(good, std::memory_order_release);
  if (const std::uint64_t odd = lane.findings.odd_pixels(); odd > 0)
    report_.count(shm::Counter::pixels_not_finite, odd);
}

void ResultPublisher::fail(shm::HeldFrame frame, Error why) {
  why.what = frame.descriptor().frame_name() + ": " + why.what;
  report_.record_error(why);
  const std::uint64_t errors = report_.record().model_errors.fetch_add(1, std::memory_order_relaxed) + 1;
  if (std::has_single_bit(errors))  // the 1st, 2nd, 4th, ...: a broken model must not fill the log
    log::error("{} (failure {} of this device)", why.text(), errors);
  publish_error(std::move(frame));
}

void ResultPublisher::give_back_suspects(FrameBatch batch) {
  for (auto& frame : batch.frames) {
    if (may_try_another_device(frame)) {
      frame.give_back_suspect();
      continue;
    }
    const std::string name = frame.descriptor().frame_name();
    log::error("{} was on {} devices that failed, the last time alone: it becomes an error result", name, kDevices);
    report_.record_error({"frame.breaks-devices",
                          name + " was on " + std::to_string(kDevices) + " devices when they failed",
                          "it is counted as failed and not tried again", "look at the frame, and at the model"});
    report_.record().fatal_frames.fetch_add(1, std::memory_order_relaxed);
    publish_error(std::move(frame));
  }
}

void ResultPublisher::publish_error(shm::HeldFrame frame) {
  if (auto published = frame.publish(shm::ResultStatus::error); !published) log::error("{}", published.error().text());
  in_flight_.fetch_sub(1, std::memory_order_release);
}

}  // namespace peaknet::engine
