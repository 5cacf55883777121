#include "control/endpoint.hpp"

#include <sys/un.h>

namespace peaknet::control {

bool is_tcp(const std::string& endpoint) { return endpoint.starts_with("tcp://"); }

Error tcp_needs_keys(const std::string& endpoint, const std::string& remedy) {
  return {"control.tcp-needs-curve", "the endpoint " + endpoint + " is open to the network and has no keys",
          "nothing was opened", remedy};
}

Result<std::string> socket_path(const std::string& endpoint) {
  if (is_tcp(endpoint)) return tcp_needs_keys(endpoint, "use an ipc:// endpoint and ssh");
  const auto bad = [&](const std::string& why) {
    return Error{"control.bad-endpoint", "'" + endpoint + "' " + why, "nothing was opened",
                 "name a file: ipc:///run/peaknet/NAME/ctl"};
  };
  const std::string scheme = "ipc://";
  if (!endpoint.starts_with(scheme)) return bad("is no control endpoint");
  std::string path = endpoint.substr(scheme.size());
  if (path.empty() || path.front() != '/') return bad("does not name a file by its full path");
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kLongest) {
    return bad("has a path of " + std::to_string(path.size()) + " characters, a socket may have " +
               std::to_string(kLongest));
  }
  return path;
}

}  // namespace peaknet::control
