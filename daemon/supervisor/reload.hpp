// What a changed configuration file means for programs that run: which keys take effect at once, and who has to be
// started again for the others. RunControl carries it out.
//
// Threads: any; all are pure or write to the log. Errors: none.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace peaknet::supervisor {

struct KeyChange {
  std::string key;
  std::string before, after;  // as YAML
  std::string restart;        // the program that has to be started again; "": it takes effect at once
};

// At once: log.level, engine.depth, and engine.batch up to `reserved_batch`, what memory was reserved for at the start.
std::vector<KeyChange> plan_reload(const config::Config& old, const config::Config& fresh,
                                   std::uint32_t reserved_batch);

// The reply of `reload`: {changed: [...], restart: [...]}.
nlohmann::json reload_reply(const std::vector<KeyChange>& changes);

void log_changes(const std::vector<KeyChange>& changes);

}  // namespace peaknet::supervisor
