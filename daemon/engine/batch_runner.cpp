#include "daemon/engine/batch_runner.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "daemon/device/ranges.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {

using device::Range;
using device::Stream;

void BatchRunner::launch(Lane& lane, FrameBatch batch, const BatchPlan& plan, const DeviceModels& models,
                         bool want_smaller) {
  const std::string tag = "[buf=" + std::to_string(lane.index) + "]";
  const Range whole("Worker" + std::to_string(options_.index) + "/Batch" + std::to_string(batches_++) + tag,
                    batch.frames.size());
  lane.batch = std::move(batch);
  plan_lane(lane, plan, models, want_smaller);
  upload(lane, tag);
  start_compute(lane, tag);
  download(lane, tag);
  device_.on_done(lane.downloaded, Stream::download, [&wake = wake_] { wake.notify(); });
  lanes_.started(lane);
  count_launch(lane, plan);
}

// Another device may have taken some of the frames: the bucket follows what we really got.
void BatchRunner::plan_lane(Lane& lane, const BatchPlan& plan, const DeviceModels& models, bool want_smaller) {
  const auto count = lane.batch.frames.size();
  lane.bucket = plan.bucket_for(static_cast<std::uint32_t>(count));
  lane.rows = plan.rows_at_once(lane.bucket);
  lane.passes = plan.split() ? plan.passes() : 1;
  auto choice = models.choose(want_smaller, lane.rows);
  lane.model = std::move(choice.model);
  lane.model_number = choice.number;
  lane.events.assign(count, nullptr);
  lane.places.clear();
  lane.parts.clear();
}

void BatchRunner::upload(Lane& lane, const std::string& tag) {
  const auto& frames = lane.batch.frames;
  {
    const Range range("H2D" + tag, frames.size());
    const auto transfers = upload_images(lane, lane_stride(queue_.geometry().image_bytes()));
    report_.record().transfers.fetch_add(transfers, std::memory_order_relaxed);
    const std::size_t mask_stride = lane_stride(queue_.geometry().mask_bytes());
    for (std::size_t i = 0; i < frames.size(); ++i) {
      auto* place = reinterpret_cast<std::uint64_t*>(lane.masks->address() + i * mask_stride);
      lane.places.push_back(device_.result_place(frames[i].mask(), place));
    }
    device_.record(lane.uploaded, Stream::upload);
  }
  lane.findings.begin(device_, static_cast<std::uint32_t>(frames.size()), lane.passes);
  if (lane.passes > 1) {
    const auto& layout = options_.layout;
    const std::uint64_t pass = layout.words_per_row() * layout.height * lane.rows;
    for (std::uint32_t i = 0; i < lane.passes; ++i) lane.parts.push_back(lane.places.front() + i * pass);
  }
}

// One transfer for each run of neighbouring slots. The order of the frames is what it was; only where their images lie
// in the lane follows the slots. Returns the number of transfers.
std::uint64_t BatchRunner::upload_images(Lane& lane, std::size_t stride) {
  const auto& frames = lane.batch.frames;
  const std::size_t slot_stride = queue_.geometry().slot_stride();
  std::vector<std::size_t> by_slot(frames.size());
  std::iota(by_slot.begin(), by_slot.end(), 0U);
  std::sort(by_slot.begin(), by_slot.end(), [&](auto a, auto b) { return frames[a].slot() < frames[b].slot(); });
  std::uint64_t transfers = 0;
  for (std::size_t begin = 0; begin < by_slot.size();) {
    std::size_t end = begin + 1;
    while (end < by_slot.size() && frames[by_slot[end]].slot() == frames[by_slot[end - 1]].slot() + 1) ++end;
    const auto image = frames[by_slot[begin]].image();
    const auto uploaded =
        device_.upload({image.data(), image.size(), slot_stride, static_cast<std::uint32_t>(end - begin)},
                       lane.images->address() + begin * stride, stride);
    for (std::size_t i = begin; i < end; ++i)
      lane.events[by_slot[i]] = uploaded.images.image(static_cast<std::uint32_t>(i - begin));
    transfers += uploaded.transfers;
    begin = end;
  }
  return transfers;
}

void BatchRunner::start_compute(Lane& lane, const std::string& tag) {
  device_.wait(Stream::compute, lane.uploaded);
  device_.record(lane.begun, Stream::compute);
  device_.compute([this, &lane, tag](void* stream) {
    const Range range("Compute" + tag, lane.events.size());
    const std::int64_t begin = shm::monotonic_ns();
    compute(lane, stream);
    lane.busy.reset();  // a GPU has only been told what to do
    if (stream == nullptr) lane.busy = std::chrono::nanoseconds(shm::monotonic_ns() - begin);
  });
  device_.record(lane.computed, Stream::compute);
}

// On the compute stream: counts -> network -> bits, for the whole batch, or pass by pass for an event that is split.
void BatchRunner::compute(Lane& lane, void* stream) {
  const auto& layout = options_.layout;
  auto& kernels = device_.kernels();
  const auto count = static_cast<std::uint32_t>(lane.events.size());
  kernels.before(layout, lane.events.data(), count, input_rows(0, lane.passes * lane.rows),
                 lane.findings.odd_pixels_of_events(), stream);
  if (lane.passes == 1) {
    lane.outcome = lane.model->run(input_rows(0, lane.rows), stream, [&](const kernels::TensorView& logits) {
      kernels.after(layout, logits, lane.places.data(), lane.findings.not_finite_of_events(), count, stream);
    });
    return;
  }
  lane.outcome = {};
  for (std::uint32_t pass = 0; pass < lane.passes && lane.outcome.ok(); ++pass) {
    auto part = layout;
    part.panels = std::min(lane.rows, layout.panels - pass * lane.rows);
    lane.outcome =
        lane.model->run(input_rows(pass * lane.rows, lane.rows), stream, [&](const kernels::TensorView& logits) {
          kernels.after(part, logits, &lane.parts[pass], lane.findings.not_finite_of_pass(pass), 1, stream);
        });
  }
}

kernels::TensorView BatchRunner::input_rows(std::uint32_t first, std::uint32_t rows) const {
  const auto& layout = options_.layout;
  std::byte* const input = lanes_.input();
  auto view = kernels::contiguous(input, options_.element, rows, 1, layout.padded_height, layout.padded_width);
  view.data = input + std::size_t{first} * static_cast<std::size_t>(view.strides[0]) *
                          static_cast<std::size_t>(kernels::size_of(view.element));
  return view;
}

void BatchRunner::download(Lane& lane, const std::string& tag) {
  const auto& frames = lane.batch.frames;
  device_.wait(Stream::download, lane.computed);
  const Range range("D2H" + tag, frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) device_.download(lane.places[i], frames[i].mask());
  lane.findings.download(device_);
  device_.record(lane.downloaded, Stream::download);
}

void BatchRunner::count_launch(const Lane& lane, const BatchPlan& plan) {
  auto& counters = report_.record();
  const auto rows = lane.batch.frames.size() * options_.layout.panels;
  counters.padded_rows.fetch_add(std::uint64_t{lane.passes} * lane.rows - rows, std::memory_order_relaxed);
  if (lane.passes > 1) counters.split.fetch_add(1, std::memory_order_relaxed);
  const auto index = static_cast<std::size_t>(
      std::lower_bound(plan.buckets().begin(), plan.buckets().end(), lane.bucket) - plan.buckets().begin());
  counters.batch_sizes[std::min(index, counters.batch_sizes.size() - 1)].fetch_add(1, std::memory_order_relaxed);
}

}  // namespace peaknet::engine
