// The documents that peaknetd answers `stats` and `status` with, rendered from the control segment ALONE: peaknetctl
// renders the same from the control segment when the daemon does not answer. Keys are stable within a schema number;
// docs/protocol.md lists them.
//
// Read-only access is enough. Any thread; takes at most a few milliseconds (read_accounting). Whatever a member of the
// group may have scribbled into the control segment, the result is a document of this shape.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::control {

// Who rendered it: the daemon for its reply, or a reader of the control segment ("segment": nobody vouches that the
// numbers still move).
inline constexpr const char* kSourceDaemon = "daemon";
inline constexpr const char* kSourceSegment = "segment";

// Schema "peaknet.stats/1". `pool` may be nullptr while there is none: slots are then all 0.
nlohmann::json stats_document(const shm::ControlSegment& control_segment, const shm::Pool* pool,
                              const std::string& source = kSourceDaemon);

// Schema "peaknet.status/1".
nlohmann::json status_document(const shm::ControlSegment& control_segment, const shm::Pool* pool,
                               const std::string& source = kSourceDaemon);

// Does a daemon hold the instance? The kernel knows; nullopt for a reader who may not ask it (it takes write access).
std::optional<bool> daemon_alive(const shm::ControlSegment& control_segment);

// The state as it is now: that of the control segment, or "absent" if no daemon holds the instance (a killed one leaves
// its last word in the control segment). A reader without write access cannot ask the kernel who holds it, and is told
// what the control segment says.
std::string state_now(const shm::ControlSegment& control_segment);

// peaknet.errors/1: the kinds of error that anybody of the instance met, the latest first.
// The model that works: {path, sha256, kind, number, golden, rows, since}. Part of status and stats.
nlohmann::json model_document(const shm::ControlSegment& control_segment);

nlohmann::json errors_document(const shm::ControlSegment& control_segment, const std::string& source = kSourceSegment);

// `part` of a stats document, producers or writers, as a document of its own.
nlohmann::json participants_document(const std::string& part, const nlohmann::json& stats);

}  // namespace peaknet::control
