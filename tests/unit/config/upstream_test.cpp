// The files of the Ray pipeline become ours; nothing that stood in them is passed over in silence.
#include "config/upstream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "config/config.hpp"

namespace peaknet::config {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

// Every key of upstream's schemas (peaknet-pipeline's config/schemas.py, cxi-writer's utils/config.py).
constexpr const char* kPipeline = R"(
ray: {namespace: mfx101}
model:
  yaml_path: peaknet.yaml
  weights_path: peaknet-673m.bin
  peaknet_config: {model: {image_size: 512, num_channels: 1, num_classes: 2, backbone_hidden_sizes: [96, 192]}}
  compile_mode: reduce-overhead
  warmup_iterations: 50
runtime:
  max_actors: 4
  batch_size: 16
  total_samples: null
  num_producers: 4
  batches_per_producer: 10
  inter_batch_delay: 0.1
  pipeline_concurrency: 2
  memory_sync_interval: 0
  queue_num_shards: 4
  queue_maxsize_per_shard: 400
  queue_names: {input_queue: peaknet_q1, output_queue: peaknet_q2}
  enable_output_queue: true
  max_empty_polls: 10
  poll_timeout: 0.01
data: {shape: [1, 1920, 1920]}
data_source:
  source_type: socket
  socket_addresses: [[sdfada001, 12321], [sdfada002, 12322]]
  socket_timeout: 10
  socket_retry_attempts: 3
  fields: {detector_data: detector_data, timestamp: timestamp}
  batch_assembly: flatten
  batch_timeout: 1
  required_fields: [detector_data]
  internal_parser_threads: 2
  raw_buffer_size: 100
  serialization_format: hdf5
precision: {dtype: bfloat16}
system: {min_gpus: 1, skip_gpu_validation: false, pin_memory: true, verify_actors: true}
profiling: {enable_profiling: false, output_dir: /tmp}
output: {output_dir: o, verbose: true, quiet: false}
)";
constexpr const char* kWriter = R"(
ray: {namespace: mfx101}
queue: {name: peaknet_q2, num_shards: 4, maxsize_per_shard: 1600, poll_timeout: 0.01}
processing: {num_cpu_workers: 16, max_pending_tasks: 100}
peak_finding: {min_num_peak: 15, max_num_peak: 1024, connectivity: 8}
geometry: {geom_file: /data/epix.geom}
output:
  output_dir: /data/cxi
  file_prefix: pk
  buffer_size: 200
  create_output_dir: true
  batches_per_file: 10
  save_segmentation_maps: false
system: {log_level: WARNING, log_file: x.log, progress_interval: 10}
)";

class UpstreamTest : public testing::Test {
 protected:
  UpstreamTest() {
    std::array<char, 32> name{"/tmp/peaknet_upstream_XXXXXX"};
    folder_ = ::mkdtemp(name.data());
  }
  ~UpstreamTest() override { fs::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  fs::path folder_;
};

TEST_F(UpstreamTest, both_files_become_one_that_is_good) {
  const auto imported = import_upstream({file("pipeline.yaml", kPipeline), file("writer.yaml", kWriter)});
  ASSERT_TRUE(imported) << imported.error().text();
  const auto config = load(file("ours.yaml", imported->yaml), {"model.path=builtin:identity"});
  ASSERT_TRUE(config) << config.error().text() << imported->yaml;
  EXPECT_EQ(config->instance, "mfx101");
  EXPECT_EQ(config->pool.shape, (std::array<std::uint32_t, 3>{1, 1920, 1920}));
  EXPECT_EQ(config->engine.batch, 16U);
  EXPECT_EQ(config->engine.depth, 2U);
  EXPECT_EQ(config->engine.precision, Precision::bfloat16);
  EXPECT_EQ(config->peaks.min_num_peak, 15U);
  EXPECT_EQ(config->peaks.max_num_peak, 1024U);
  EXPECT_EQ(config->output.dir, "/data/cxi");
  EXPECT_EQ(config->output.events_per_file, 200U);
  EXPECT_EQ(config->output.geometry, "/data/epix.geom");
  EXPECT_EQ(config->log.level, "warn");
  EXPECT_EQ(config->feed.endpoints, (std::vector<std::string>{"bind tcp://0.0.0.0:12321", "bind tcp://0.0.0.0:12322"}));
  EXPECT_EQ(config->pool.dtype, PixelType::float32);  // lclstreamer sends them so
}

TEST_F(UpstreamTest, a_batch_of_panels_becomes_one_of_events) {
  const auto batch = [&](const std::string& text) {
    const auto imported = import_upstream({file("p.yaml", text)});
    EXPECT_TRUE(imported) << imported.error().text();
    return imported ? imported->yaml : "";
  };
  // The shape may stand behind it, and in another section.
  EXPECT_THAT(batch("runtime: {batch_size: 128}\ndata: {shape: [16, 352, 384]}\n"),
              HasSubstr("batch: 8  # p.yaml: runtime.batch_size: 128 images there, of 16 panels an event"));
  EXPECT_THAT(batch("runtime: {batch_size: 1000}\ndata_source: {shape: [16, 352, 384]}\n"), HasSubstr("batch: 63  #"))
      << "the last batch of theirs is not full";
  EXPECT_THAT(batch("runtime: {batch_size: 16}\ndata: {shape: [1, 1920, 1920]}\n"),
              HasSubstr("batch: 16  # p.yaml: runtime.batch_size\n"));
}

TEST_F(UpstreamTest, masks_are_stored_where_they_were) {
  for (const auto* value : {"true", "false"}) {
    const auto imported = import_upstream(
        {file("w.yaml", "peak_finding: {}\noutput: {save_segmentation_maps: " + std::string(value) + "}\n")});
    ASSERT_TRUE(imported) << imported.error().text();
    EXPECT_THAT(imported->yaml, HasSubstr(std::string("segmentation: ") + value + "  #"));
  }
}

TEST_F(UpstreamTest, every_key_is_either_taken_or_left_with_a_reason) {
  const auto imported = import_upstream({file("pipeline.yaml", kPipeline), file("writer.yaml", kWriter)});
  ASSERT_TRUE(imported);
  for (const auto& left : imported->left) {
    EXPECT_FALSE(left.reason.empty()) << left.from;
    EXPECT_NE(left.reason, "not a key that upstream reads") << left.from;
    EXPECT_THAT(imported->yaml, HasSubstr("# " + left.from + ": "));
  }
  EXPECT_GE(imported->left.size(), 39U);
  for (const auto& taken : imported->taken) EXPECT_THAT(imported->yaml, HasSubstr("# " + taken.from));
}

TEST_F(UpstreamTest, a_key_that_upstream_does_not_know_is_said_to_be_so) {
  const auto imported = import_upstream({file("p.yaml", "runtime: {batch_size: 2, typo: 3}\n")});
  ASSERT_TRUE(imported);
  ASSERT_EQ(imported->left.size(), 1U);
  EXPECT_EQ(imported->left[0].from, "p.yaml: runtime.typo");
  EXPECT_EQ(imported->left[0].reason, "not a key that upstream reads");
}

TEST_F(UpstreamTest, what_cannot_be_taken_over_is_refused_with_the_place) {
  EXPECT_EQ(import_upstream({folder_ / "none.yaml"}).error().id, "config.unreadable");
  EXPECT_EQ(import_upstream({file("a.yaml", "a: [1\n")}).error().id, "config.syntax");
  EXPECT_EQ(import_upstream({file("b.yaml", "instance: mfx\npool: {slots: 3}\n")}).error().id, "config.not-upstream");
  const auto bad = import_upstream({file("c.yaml", "runtime: {batch_size: 1000000}\n")});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().id, "config.bad-value");
  EXPECT_THAT(bad.error().what, HasSubstr("runtime.batch_size"));
}

}  // namespace
}  // namespace peaknet::config
