// A node with a processor and GPUs: LibTorch's CUDA side is there before a worker starts, because a model for the
// processor that came first would make LibTorch blind for GPUs.
#include "daemon/supervisor/engine_plan.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "daemon/model/model.hpp"
#include "daemon/supervisor/shape_verification.hpp"

namespace peaknet::supervisor {
namespace {

bool cuda_side_is_loaded() { return ::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD) != nullptr; }

config::Config node(std::vector<std::string> devices, const std::string& model) {
  config::Config config;
  config.engine.devices = std::move(devices);
  config.model.path = model;
  return config;
}

TEST(DevicesOnGpus, a_network_for_processor_and_gpu_has_the_cuda_side_before_a_worker_starts) {
  ASSERT_FALSE(cuda_side_is_loaded());
  const auto plans = plan_devices(node({"cpu", "cuda:0"}, "network.pt"));
  ASSERT_TRUE(plans) << plans.error().text();
  EXPECT_TRUE(cuda_side_is_loaded());
}

TEST(DevicesOnGpus, so_has_one_that_only_shedding_uses) {
  auto config = node({"cpu", "cuda:0"}, "builtin:identity");
  config.shedding.enabled = true;
  config.shedding.model = "smaller.pt";
  ASSERT_TRUE(plan_devices(config));
  EXPECT_TRUE(cuda_side_is_loaded());
}

TEST(DevicesOnGpus, a_network_that_is_loaded_later_has_it_before_its_load_for_the_processor) {
  auto plans = plan_devices(node({"cpu", "cuda:0"}, "builtin:identity"));
  ASSERT_TRUE(plans) << plans.error().text();
  EXPECT_FALSE(cuda_side_is_loaded()) << "builtin models need none of it";
  const auto loaded = (*plans)[0].load_other("/no/such/network.pt");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().id, "model.missing");
  EXPECT_TRUE(cuda_side_is_loaded());
}

// The simulation ends the process with a finding of its own where a kernel reads what nobody has written.
TEST(DevicesOnGpus, another_shape_is_tried_with_an_input_that_was_written) {
  auto config = node({"cuda:0"}, "builtin:threshold=100");
  config.pool.shape = {2, 60, 50};
  const auto outcome = try_shape(config, {});
  EXPECT_TRUE(outcome) << outcome.error().text();
}

TEST(DevicesOnGpus, a_node_without_gpus_never_loads_it) {
  auto plans = plan_devices(node({"cpu"}, "network.pt"));
  ASSERT_TRUE(plans) << plans.error().text();
  EXPECT_FALSE((*plans)[0].load_other("/no/such/network.pt"));
  EXPECT_FALSE(cuda_side_is_loaded());
}

}  // namespace
}  // namespace peaknet::supervisor
