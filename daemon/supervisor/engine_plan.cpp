#include "daemon/supervisor/engine_plan.hpp"

#include "config/model_file.hpp"
#include "daemon/device/cuda_registrar.hpp"
#include "daemon/device/host_device.hpp"
#include "daemon/engine/cpu_list.hpp"
#if PEAKNET_DEVICE_CUDA
#include "daemon/device/cuda_device.hpp"
#include "daemon/device/cuda_driver.hpp"
#endif

namespace peaknet::supervisor {
namespace {

kernels::Element element_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::float32:
      return kernels::Element::float32;
    case config::Precision::bfloat16:
      return kernels::Element::bfloat16;
    case config::Precision::float16:
      return kernels::Element::float16;
  }
  return kernels::Element::float32;
}

// Names of the CUDA devices that this machine and this build have.
Result<std::vector<std::string>> cuda_devices() {
#if PEAKNET_DEVICE_CUDA
  return device::cuda_device_names();
#else
  return std::vector<std::string>{};
#endif
}

// Those that the configuration means.
Result<std::vector<std::string>> device_names(const config::Config& config) {
  std::vector<std::string> names = config.engine.devices;
  if (names == std::vector<std::string>{"auto"}) {
    auto there = cuda_devices();
    if (!there) return there;
    names = there->empty() ? std::vector<std::string>{"cpu"} : std::move(*there);
  }
  if (names.empty() || names.size() > shm::kMaxDevices) {
    return Error{"device.unknown",
                 "engine.devices names " + std::to_string(names.size()) + " devices, allowed are 1 to " +
                     std::to_string(shm::kMaxDevices),
                 "nothing was started", "correct engine.devices"};
  }
  return names;
}

Result<engine::DeviceMaker> device_maker(const std::string& name,
                                         const std::shared_ptr<device::CudaRegistrar>& registrar) {
  if (name == "cpu") {
    return engine::DeviceMaker([]() -> Result<std::unique_ptr<device::Device>> { return device::make_host_device(); });
  }
#if PEAKNET_DEVICE_CUDA
  const auto all = cuda_devices();
  if (!all) return all.error();
  std::string known = "cpu";
  for (const auto& there : *all) {
    if (there == name)
      return engine::DeviceMaker([name, registrar] {
        return device::make_cuda_device(name, registrar, [name] { model::release_cached_memory(name); });
      });
    known += ", " + there;
  }
  return Error{"device.unknown", "there is no device '" + name + "' on this machine, only " + known,
               "nothing was started", "correct engine.devices, or see nvidia-smi"};
#else
  static_cast<void>(registrar);
  return Error{"device.not-built", "engine.devices names '" + name + "', but this peaknetd was built without CUDA",
               "nothing was started",
               "set engine.devices: cpu, or build with the CUDA toolkit (nvcc 12.6 or later on PATH)"};
#endif
}

}  // namespace

Result<std::vector<engine::DevicePlan>> plan_devices(const config::Config& config) {
  const auto found = device_names(config);
  if (!found) return found.error();
  const auto& names = *found;
  if (config.engine.cpus.size() > names.size()) {
    return Error{"device.bad-cpus",
                 "engine.cpus has " + std::to_string(config.engine.cpus.size()) + " entries for " +
                     std::to_string(names.size()) + " devices",
                 "nothing was started", "one entry for each device, in the order of engine.devices"};
  }
  const auto registrar = std::make_shared<device::CudaRegistrar>(
      device::CudaRegistrar::kChunk, worker_options(config).bound() / 2);  // of all of them; before any is given up
  const auto files = std::make_shared<model::ModelFiles>();
  std::vector<engine::DevicePlan> plans;
  for (const auto& name : names) {
    auto maker = device_maker(name, registrar);
    if (!maker) return maker.error();
    std::vector<unsigned> cpus;
    if (plans.size() < config.engine.cpus.size() && !config.engine.cpus[plans.size()].empty()) {
      auto near = engine::find_cpus(config.engine.cpus[plans.size()]);
      if (!near) return near.error();
      cpus = std::move(*near);
    }
    const model::ModelRequest request{
        config.model.path,  name, element_of(config.engine.precision), config.engine.cpu_threads,
        config.model.allow, files};
    const auto load = [request, names](const std::string& path) -> Result<std::unique_ptr<model::Model>> {
      if (auto ready = model::prepare_to_load(path, names); !ready) return ready.error();
      auto other = request;
      other.path = path;
      return model::load_model(other);
    };
    engine::DevicePlan plan{.name = name, .cpus = std::move(cpus), .make_device = std::move(*maker), .make_model = {}};
    plan.make_model = [load, path = config.model.path] { return load(path); };
    if (config.shedding.has_smaller_model())
      plan.make_smaller_model = [load, path = config.shedding.model] { return load(path); };
    plan.load_other = load;
    plans.push_back(std::move(plan));
  }
  for (const auto& path : {config.model.path, config.shedding.has_smaller_model() ? config.shedding.model : ""}) {
    if (path.empty()) continue;
    if (auto ready = model::prepare_to_load(path, names); !ready) return ready.error();
  }
  return plans;
}

engine::WorkerOptions worker_options(const config::Config& config) {
  engine::WorkerOptions options;
  options.instance = config.instance;
  options.depth = config.engine.depth;
  options.batch = config.engine.batch;
  options.max_delay = std::chrono::nanoseconds(static_cast<std::int64_t>(config.engine.max_delay_ms * 1e6));
  options.stuck_after = std::chrono::nanoseconds(static_cast<std::int64_t>(config.engine.stuck_seconds * 1e9));
  options.element = element_of(config.engine.precision);
  if (const auto& shedding = config.shedding; shedding.enabled) {
    const auto span = [](double seconds) { return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)); };
    options.shedding =
        std::make_shared<engine::Shedding>(engine::SheddingOptions{.raise_at = shedding.raise_at,
                                                                   .lower_at = shedding.lower_at,
                                                                   .raise_after = span(shedding.raise_seconds),
                                                                   .lower_after = span(shedding.lower_seconds),
                                                                   .smaller_model = !shedding.model.empty(),
                                                                   .keep_one_of = shedding.keep_one_of});
  }

  const auto padded = [&](std::uint32_t size) {
    return (size + config.preprocess.multiple - 1) / config.preprocess.multiple * config.preprocess.multiple;
  };
  auto& layout = options.layout;
  layout.pixel_type = static_cast<std::uint32_t>(config.pool.dtype);
  layout.panels = config.pool.shape[0];
  layout.height = config.pool.shape[1];
  layout.width = config.pool.shape[2];
  layout.padded_height = padded(layout.height);
  layout.padded_width = padded(layout.width);
  if (config.preprocess.pad == config::PadStyle::center) {
    layout.top = (layout.padded_height - layout.height) / 2;
    layout.left = (layout.padded_width - layout.width) / 2;
  }
  layout.normalise = config.preprocess.normalize == config::Normalize::instance;
  return options;
}

}  // namespace peaknet::supervisor
