#include "daemon/supervisor/operations/model_load.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"
#include "control/status_documents.hpp"
#include "daemon/supervisor/run_state.hpp"

namespace peaknet::supervisor {

ModelLoad::ModelLoad(PoolManager& pool_manager, EngineHost& room, const std::string& path, control::Answer answer)
    : pool_manager_(pool_manager), engine_host_(room), outcome_(room.engine().load(path)), answer_(std::move(answer)) {}

bool ModelLoad::step() {
  if (outcome_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  const auto outcome = outcome_.get();
  if (!outcome) {
    log::error("{}", outcome.error().text());
    answer_.send(outcome.error());
    return true;
  }
  auto& layout = pool_manager_.layout();
  const nlohmann::json before = {{"path", layout.daemon.model.load()}, {"sha256", layout.daemon.model_sha256.load()}};
  show_model(layout, *outcome);
  engine_host_.model_is(outcome->path);
  answer_.send(nlohmann::json{{"before", before},
                              {"after", control::model_document(pool_manager_.control_segment())},
                              {"took_ms", milliseconds_since(begun_)}});
  log::info("model {} -> {}", before.at("path").get<std::string>(), outcome->path);
  return true;
}

}  // namespace peaknet::supervisor
