#include "daemon/service/shape_trial.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "daemon/engine/batch_plan.hpp"
#include "daemon/service/devices.hpp"

namespace peaknet::service {
Status run_once(device::Device& device, model::Model& model, const engine::WorkerOptions& options) {
  const auto& layout = options.layout;
  engine::BatchPlan plan(options.batch, std::max(1U, layout.panels));
  if (!plan.offer(model.info().rows)) {
    std::string rows;
    for (const auto count : model.info().rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
    return Error{"model.bad-rows",
                 model.info().path + " runs with " + rows + " rows alone, and an event would have " +
                     std::to_string(layout.panels) + " panels",
                 "nothing was changed", "make it with models/export.py for 1, 2, 4, ... times that many rows"};
  }
  const std::uint32_t rows = plan.rows_at_once(plan.buckets().front());
  auto input = device.reserve(std::size_t{rows} * layout.padded_height * layout.padded_width *
                              static_cast<std::size_t>(kernels::size_of(options.element)));
  if (!input) return input.error();
  Status outcome;
  device.compute([&](void* stream) {
    outcome = model.run(
        kernels::contiguous((*input)->address(), options.element, rows, 1, layout.padded_height, layout.padded_width),
        stream, [](const kernels::TensorView&) {});
  });
  if (auto reached = device.synchronize(); !reached) return reached;
  return outcome;
}

Status try_shape(const config::Config& config) {
  auto plans = plan_devices(config);
  if (!plans) return plans.error();
  auto device = plans->front().make_device();
  if (!device) return device.error();
  std::unique_ptr<model::Model> model;
  Status outcome;
  (*device)->compute([&](void*) {
    auto loaded = plans->front().make_model();
    if (loaded) {
      model = std::move(*loaded);
    } else {
      outcome = loaded.error();
    }
  });
  if (auto reached = (*device)->synchronize(); !reached) return reached;
  if (!outcome) return outcome;
  outcome = run_once(**device, *model, worker_options(config));
  (*device)->compute([&](void*) { model.reset(); });  // where it was made
  if (auto reached = (*device)->synchronize(); !reached && outcome.ok()) return reached;
  return outcome;
}

}  // namespace peaknet::service
