// BatchRunner: puts a batch on the three streams of a device: upload of the images, counts -> network -> bits, download
// of the masks. Events order the streams; nothing here waits.
//
// Invariant: the tensors of a model never leave the compute stream. The addresses in the lane stay unchanged until the
// event `downloaded` is done.
//
// Threads: the worker's; what it put on the compute stream runs in the context of that. Errors: none here; what the
// network says is in Lane::outcome once `downloaded` is done, what the device says in Device::health().
// After a crash: nothing is left.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/device/device.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/device_models.hpp"
#include "daemon/engine/device_report.hpp"
#include "daemon/engine/lane_set.hpp"
#include "daemon/engine/worker_options.hpp"
#include "shm/consumer.hpp"

namespace peaknet::engine {

class BatchRunner {
 public:
  // Everything outlives this, and this outlives `device`, whose streams may still call it. `wake` is notified when a
  // batch is done, also by a stream of a lost device later than this lives.
  BatchRunner(const WorkerOptions& options, device::Device& device, shm::Consumer& queue, LaneSet& lanes,
              const DeviceReport& report, shm::EventCount& wake)
      : options_(options), device_(device), queue_(queue), lanes_(lanes), report_(report), wake_(wake) {}

  // Preconditions: the lane is free; the batch is not larger than plan.largest(). The lane is in flight from then on.
  void launch(Lane& lane, FrameBatch batch, const BatchPlan& plan, const DeviceModels& models, bool want_smaller);

 private:
  void plan_lane(Lane& lane, const BatchPlan& plan, const DeviceModels& models, bool want_smaller);
  void upload(Lane& lane, const std::string& tag);
  std::uint64_t upload_images(Lane& lane, std::size_t stride);
  void start_compute(Lane& lane, const std::string& tag);
  void compute(Lane& lane, void* stream);
  kernels::TensorView input_rows(std::uint32_t first, std::uint32_t rows) const;
  void download(Lane& lane, const std::string& tag);
  void count_launch(const Lane& lane, const BatchPlan& plan);

  const WorkerOptions& options_;
  device::Device& device_;
  shm::Consumer& queue_;
  LaneSet& lanes_;
  const DeviceReport& report_;
  shm::EventCount& wake_;
  std::uint64_t batches_ = 0;
};

}  // namespace peaknet::engine
