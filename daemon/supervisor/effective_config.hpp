// EffectiveConfig: the configuration that the daemon goes by, in two values with one owner: what the file says, as far
// as it was adopted (`configured`), and what is at work (`running`): the file's, with the pool that there really is,
// the model that works and the depth of now.
//
// Threads: the supervisor's; who prepares something in another thread copies. Errors: none.
// After a crash: the next daemon reads the file and finds the pool; a model or depth that was changed since is the
// file's again.
#pragma once

#include <string>

#include "config/config.hpp"
#include "shm/geometry.hpp"

namespace peaknet::supervisor {

// The configuration with this pool in it.
inline config::Config with_pool(config::Config config, const shm::Geometry& geometry) {
  config.pool.slots = geometry.slots;
  config.pool.shape = {geometry.panels, geometry.height, geometry.width};
  return config;
}

class EffectiveConfig {
 public:
  explicit EffectiveConfig(const config::Config& file) : configured_(file), running_(file) {}
  EffectiveConfig(const EffectiveConfig&) = delete;
  EffectiveConfig& operator=(const EffectiveConfig&) = delete;

  const config::Config& configured() const { return configured_; }
  const config::Config& running() const { return running_; }
  // Memory was reserved for batches up to this when the engine was made.
  std::uint32_t reserved_batch() const { return running_.engine.batch; }

  void pool_is(const shm::Geometry& geometry) { running_ = with_pool(running_, geometry); }
  void model_is(const std::string& path) { running_.model.path = path; }
  void depth_is(std::uint32_t depth) { running_.engine.depth = depth; }
  // An engine was made for this.
  void run_with(const config::Config& config) { running_ = config; }
  // The file was read again: what takes effect at once. `new_batch`: also the largest batch.
  void adopt(const config::Config& fresh, bool new_batch) {
    configured_.log.level = fresh.log.level;
    running_.log.level = fresh.log.level;
    configured_.engine.depth = fresh.engine.depth;
    if (new_batch) configured_.engine.batch = fresh.engine.batch;
  }

 private:
  config::Config configured_;
  config::Config running_;
};

}  // namespace peaknet::supervisor
