// Endpoint: the addresses that control sockets may have.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::control {

// The file of an `ipc://` endpoint. Errors: control.tcp-needs-curve (tcp:// lets in everybody on the network, so it is
// refused as long as there are no keys), control.bad-endpoint (anything else: other transports, abstract and wildcard
// addresses, which have no file mode to guard them, and paths that no socket can have).
Result<std::string> socket_path(const std::string& endpoint);

}  // namespace peaknet::control
