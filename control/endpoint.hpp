// Endpoint: the addresses that control sockets may have.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::control {

// Is it open to the network? Then it is served, and asked, with keys alone (curve.hpp).
bool is_tcp(const std::string& endpoint);

// What is said where the keys are missing, to who would serve there.
Error tcp_needs_keys(const std::string& endpoint, const std::string& remedy);

// The file of an `ipc://` endpoint. Errors: control.tcp-needs-curve, control.bad-endpoint (anything else: other
// transports, abstract and wildcard addresses, which have no file mode to guard them, and paths that no socket can
// have).
Result<std::string> socket_path(const std::string& endpoint);

}  // namespace peaknet::control
