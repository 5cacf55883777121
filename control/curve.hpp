// Keys for tcp:// endpoints (CURVE, curvezmq.org): who is not named by its public key in the daemon's list of clients
// is refused in the handshake, before a byte of it is read as a request; who does not hold the daemon's secret key
// cannot pose as the daemon.
//
// Files: a secret key is a file of one line with 40 characters (Z85), which nobody but its owner may read (mode 0400 or
// 0600), or a systemd credential, "credential:NAME" (LoadCredential=NAME:FILE). A list of clients has a line for each:
// PUBLICKEY NAME [read]; one with `read` is let in at the monitor endpoint alone. '#' begins a comment.
#pragma once

#include <map>
#include <string>

#include "base/result.hpp"

namespace peaknet::control {

struct CurveKey {
  std::string secret;      // Z85
  std::string public_key;  // Z85
};
struct CurveClient {
  std::string name;
  bool read_only = false;
};
using CurveClients = std::map<std::string, CurveClient>;  // by public key

// Errors: curve.unreadable, curve.open-to-others (who else may read it), curve.bad-key.
Result<CurveKey> read_secret_key(const std::string& file);
// Errors: curve.unreadable, curve.open-to-others (others may write it), curve.bad-key, with the line. An empty list is
// curve.no-clients.
Result<CurveClients> read_clients(const std::string& file);
// Makes a key: the secret one in `file` (0400), the public one in `file`.pub. Returns the public one. Errors:
// curve.exists (a key is never overwritten), curve.cannot-write.
Result<std::string> make_key(const std::string& file);
// Is it the Z85 text of a key?
bool is_key(const std::string& text);

}  // namespace peaknet::control
