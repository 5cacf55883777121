// The documents that peaknetd answers `stats` and `status` with, rendered from the counters page ALONE: peaknetctl
// renders the same from the page when the daemon does not answer. Keys are stable within a schema number;
// docs/protocol.md lists them.
//
// Read-only access is enough. Any thread; takes at most a few milliseconds (read_books). Whatever a member of the group
// may have scribbled into the page, the result is a document of this shape.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "shm/directory.hpp"
#include "shm/pool.hpp"

namespace peaknet::control {

// Who rendered it: the daemon for its reply, or a reader of the page ("page": nobody vouches that the numbers still
// move).
inline constexpr const char* kSourceDaemon = "daemon";
inline constexpr const char* kSourcePage = "page";

// Schema "peaknet.stats/1". `pool` may be nullptr while there is none: slots are then all 0.
nlohmann::json stats_document(const shm::Directory& directory, const shm::Pool* pool,
                              const std::string& source = kSourceDaemon);

// Schema "peaknet.status/1".
nlohmann::json status_document(const shm::Directory& directory, const shm::Pool* pool,
                               const std::string& source = kSourceDaemon);

// Does a daemon hold the instance? The kernel knows; nullopt for a reader who may not ask it (it takes write access).
std::optional<bool> daemon_alive(const shm::Directory& directory);

// The state as it is now: that of the page, or "absent" if no daemon holds the instance (a killed one leaves its last
// word in the page). A reader without write access cannot ask the kernel who holds it, and is told what the page says.
std::string state_now(const shm::Directory& directory);

// peaknet.errors/1: the kinds of error that anybody of the instance met, the latest first.
// The model that works: {path, sha256, kind, number, golden, rows, since}. Part of status and stats.
nlohmann::json model_document(const shm::Directory& directory);

nlohmann::json errors_document(const shm::Directory& directory);

}  // namespace peaknet::control
