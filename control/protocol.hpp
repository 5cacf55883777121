// Protocol: the texts that go over the wire (JSON-RPC 2.0, docs/protocol.md), as total functions without sockets:
// whatever bytes come in, a request, a reply or an Error comes out.
//
// Error ids that are faults of the asker have the numbers of JSON-RPC: control.parse-error -32700,
// control.invalid-request -32600, control.unknown-method -32601, control.bad-params -32602, control.failed -32603. All
// others are -32000. The number is for foreign clients; the id in `data` says more.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace peaknet::control {

inline constexpr std::size_t kMaxRequestBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxReplyBytes = std::size_t{16} << 20;
// Deeper JSON is refused before it is parsed: copying it would need as much stack
inline constexpr int kMaxNesting = 32;

struct Call {
  std::string method;
  nlohmann::json params;
};

// Check one request completely: syntax, the envelope, the method and its parameters. `id` becomes what the reply must
// carry, null where the request has none that can be used, also on errors. A message without an id would be a
// notification, which has no reply; every request has one here, so it is refused (control.invalid-request) and nothing
// is done. So are batches.
Result<Call> read_request(std::string_view bytes, nlohmann::json& id);

std::string write_request(std::uint64_t id, const std::string& method, const nlohmann::json& params);
std::string write_reply(const nlohmann::json& id, const Result<nlohmann::json>& reply);

// The result or the Error of a reply. `id` as in the reply. Errors of its own: control.bad-reply.
Result<nlohmann::json> read_reply(std::string_view bytes, nlohmann::json& id);

// {id, what, untouched, remedy}: an Error as every document has it.
nlohmann::json to_json(const Error& error);
// A document of schema peaknet.error/1, for who asked for another one.
nlohmann::json error_document(const Error& error);

// JSON to text, whatever is in it: invalid UTF-8 is replaced, never thrown at.
std::string to_text(const nlohmann::json& document, int indent = -1);

}  // namespace peaknet::control
