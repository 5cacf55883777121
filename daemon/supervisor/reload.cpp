#include "daemon/supervisor/reload.hpp"

#include <nlohmann/json.hpp>

#include "base/log_line.hpp"
#include "config/keys.hpp"

namespace peaknet::supervisor {
namespace {

// Who has to be started again for this key.
std::string program_of(const config::Key& key) {
  if (key.name() == "feed.columns") return "peaknetd, peaknet-feed";  // the pool's slots become others by it
  if (key.section == "feed") return "peaknet-feed";
  if (key.section == "live") return "peaknet-live";
  if (key.section == "peaks" || key.section == "output") return "peaknet-writer";
  return "peaknetd";
}

bool at_once(const std::string& name, const config::Config& fresh, std::uint32_t reserved_batch) {
  if (name == "engine.batch") return fresh.engine.batch <= reserved_batch;
  return name == "log.level" || name == "engine.depth";
}

}  // namespace

std::vector<KeyChange> plan_reload(const config::Config& old, const config::Config& fresh,
                                   std::uint32_t reserved_batch) {
  std::vector<KeyChange> changes;
  for (const config::Key& key : config::keys()) {
    const std::string before = key.write(old);
    const std::string after = key.write(fresh);
    if (before == after) continue;
    changes.push_back({key.name(), before, after, at_once(key.name(), fresh, reserved_batch) ? "" : program_of(key)});
  }
  return changes;
}

nlohmann::json reload_reply(const std::vector<KeyChange>& changes) {
  nlohmann::json changed = nlohmann::json::array();
  nlohmann::json restart = nlohmann::json::array();
  for (const KeyChange& change : changes) {
    nlohmann::json entry = {{"key", change.key}, {"before", change.before}, {"after", change.after}};
    if (!change.restart.empty()) entry["program"] = change.restart;
    (change.restart.empty() ? changed : restart).push_back(std::move(entry));
  }
  return {{"changed", std::move(changed)}, {"restart", std::move(restart)}};
}

void log_changes(const std::vector<KeyChange>& changes) {
  for (const auto& change : changes) {
    log::info("reload: {} {} -> {}{}", change.key, change.before, change.after,
              change.restart.empty() ? "" : ", when " + change.restart + " is started again");
  }
}

}  // namespace peaknet::supervisor
